// Everything in optim.
#pragma once
#include "fathom/optim/adam.h"
#include "fathom/optim/optimizer.h"
#include "fathom/optim/schedule.h"
#include "fathom/optim/sgd.h"
