// An interpreter in the interpreter: a stack machine that counts primes by trial division. Indirect jumps.
#include "kernels.h"

enum op { PUSH, LOAD, STORE, ADD, MUL, MOD, LESS, JUMP, JUMP_IF_ZERO, HALT };

// n = 2; while (n < LIMIT) { d = 2; while (d * d < n + 1) { if (n % d == 0) goto next; d++; } count++; next: n++; }
#define LIMIT 2000
#define N 0
#define D 1
#define COUNT 2
static const int32_t program[] = {
  PUSH, 2, STORE, N, PUSH, 0, STORE, COUNT,
  /*  8 */ LOAD, N, PUSH, LIMIT, LESS, JUMP_IF_ZERO, 60,
  /* 15 */ PUSH, 2, STORE, D,
  /* 19 */ LOAD, D, LOAD, D, MUL, LOAD, N, PUSH, 1, ADD, LESS, JUMP_IF_ZERO, 46,
  /* 32 */ LOAD, N, LOAD, D, MOD, JUMP_IF_ZERO, 53,
  /* 39 */ LOAD, D, PUSH, 1, ADD, JUMP, 61,
  /* 46 */ LOAD, COUNT, PUSH, 1, ADD, STORE, COUNT,
  /* 53 */ LOAD, N, PUSH, 1, ADD, JUMP, 65,
  /* 60 */ HALT,
  /* 61 */ STORE, D, JUMP, 19,
  /* 65 */ STORE, N, JUMP, 8,
};

static int64_t
run(void)
{
  int64_t stack[16], *top = stack, variable[4] = { 0 };
  const int32_t *pc = program;
  for (;;) {
    switch ((enum op)*pc++) {
    case PUSH:
      *top++ = *pc++;
      break;
    case LOAD:
      *top++ = variable[*pc++];
      break;
    case STORE:
      variable[*pc++] = *--top;
      break;
    case ADD:
      top--;
      top[-1] += top[0];
      break;
    case MUL:
      top--;
      top[-1] *= top[0];
      break;
    case MOD:
      top--;
      top[-1] = (int32_t)top[-1] % (int32_t)top[0];
      break;
    case LESS:
      top--;
      top[-1] = top[-1] < top[0];
      break;
    case JUMP:
      pc = program + *pc;
      break;
    case JUMP_IF_ZERO:
      pc = *--top ? pc + 1 : program + *pc;
      break;
    case HALT:
      return variable[COUNT];
    }
  }
}

uint64_t
byte_code(unsigned repeat)
{
  uint64_t sum = 0;
  for (unsigned r = 0; r < repeat; r++)
    sum += (uint64_t)run();
  return sum;
}
