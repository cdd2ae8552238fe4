#pragma once
// How often the guest stirs its secret; the image `tireless` never stops.
#ifndef ROUNDS
#define ROUNDS 5
#endif
