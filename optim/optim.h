// Everything in optim.
#pragma once
#include "fathom/optim/adagrad.h"
#include "fathom/optim/adam.h"
#include "fathom/optim/clip.h"
#include "fathom/optim/lbfgs.h"
#include "fathom/optim/moving_average.h"
#include "fathom/optim/muon.h"
#include "fathom/optim/optimizer.h"
#include "fathom/optim/rmsprop.h"
#include "fathom/optim/schedule.h"
#include "fathom/optim/sgd.h"
