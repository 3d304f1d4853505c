// Every op.
#pragma once
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/attention.h"
#include "fathom/autograd/ops/compare.h"
#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/linalg.h"
#include "fathom/autograd/ops/matmul.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/ops/recurrent.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
