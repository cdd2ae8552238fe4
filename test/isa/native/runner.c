// Executes single instructions on the host processor. Reads cases from standard input, writes outcomes to standard
// output. Every case is entered and left by a signal: the handler loads registers into the signal frame with TF set,
// returns, and the debug exception after one instruction (or the fault of it) brings it back.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x300000
#define DATA 0x200000
#define DATA_SIZE 0x3000
#define WINDOW_SIZE 512
#define WINDOW (DATA + 0x1000 - WINDOW_SIZE / 2)
#define TF 0x100
#define USER_CODE_32 0x23
#define USER_CODE_64 0x33

struct test_case {
  uint8_t code[16];
  uint64_t mode; // 64 or 32
  uint64_t gpr[16];
  uint64_t rflags;
  uint8_t memory[WINDOW_SIZE];
};

struct outcome {
  uint64_t gpr[16];
  uint64_t rflags;
  uint64_t rip;
  uint64_t signal;
  uint8_t memory[WINDOW_SIZE];
};

// Where the C library keeps RAX..R15 in a signal frame.
static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct test_case current;
static int running;

static void handle(int number, siginfo_t *info, void *context) {
  (void)info;
  greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
  if (running) {
    struct outcome result;
    for (int i = 0; i < 16; i++) result.gpr[i] = regs[order[i]];
    result.rflags = regs[REG_EFL] & ~TF;
    result.rip = regs[REG_RIP] - CODE;
    result.signal = number == SIGTRAP ? 0 : number;
    memcpy(result.memory, (void *)WINDOW, WINDOW_SIZE);
    fwrite(&result, sizeof result, 1, stdout);
  }
  if (fread(&current, sizeof current, 1, stdin) != 1) {
    fflush(stdout);
    _exit(0);
  }
  running = 1;
  memset((void *)DATA, 0, DATA_SIZE);
  memcpy((void *)WINDOW, current.memory, WINDOW_SIZE);
  memcpy((void *)CODE, current.code, sizeof current.code);
  for (int i = 0; i < 16; i++) regs[order[i]] = current.gpr[i];
  regs[REG_EFL] = current.rflags | TF;
  regs[REG_RIP] = CODE;
  uint64_t selectors = regs[REG_CSGSFS];
  regs[REG_CSGSFS] = (selectors & ~0xffffull) | (current.mode == 32 ? USER_CODE_32 : USER_CODE_64);
}

static void map(uint64_t address, size_t size, int protection) {
  void *at = mmap((void *)address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != (void *)address) {
    perror("mmap");
    exit(1);
  }
}

int main(void) {
  static uint8_t stack[1 << 16];
  static char input[1 << 20], output[1 << 20];
  setvbuf(stdin, input, _IOFBF, sizeof input);
  setvbuf(stdout, output, _IOFBF, sizeof output);
  map(DATA, DATA_SIZE, PROT_READ | PROT_WRITE);
  map(CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  // 64-bit processes run with null selectors, which 32-bit code cannot use.
  __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(0x2b));
  raise(SIGTRAP);
  return 1;
}
