// Everything in nn.
#pragma once
#include "fathom/nn/activations.h"
#include "fathom/nn/attention.h"
#include "fathom/nn/containers.h"
#include "fathom/nn/flow.h"
#include "fathom/nn/init.h"
#include "fathom/nn/linear.h"
#include "fathom/nn/losses.h"
#include "fathom/nn/module.h"
#include "fathom/nn/observer.h"
#include "fathom/nn/positions.h"
#include "fathom/nn/recurrent.h"
#include "fathom/nn/transformer.h"
