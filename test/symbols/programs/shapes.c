/* Values of every kind of C type, and calls that are inlined, nested and recursive. */
#include "helper.h"

struct point { int x, y; unsigned flag : 3, mode : 5; long long big : 40; };
enum color { RED, GREEN = 5, BLUE };
enum access { READ = 1, WRITE = 2, EXECUTE = 4, CACHE = 0x20 };
enum level { LOW = -2, MIDDLE, HIGH = 7 };
typedef unsigned long long u64;
typedef u64 address_t;

typedef struct vm {
  struct point p[4];
  enum color c;
  enum access rights;
  char name[16];
  const char *title;
  struct vm *next;
  union { int i; unsigned short b[2]; } u;
  struct { short inner; union { unsigned word; unsigned short bytes[2]; }; };
  int (*op)(int);
} vm_t;

static int add(int a) { return a + 1; }

vm_t machine = {
  .p = { { 1, 2, 3, 4, -5 }, { 3, 4 } },
  .c = GREEN,
  .rights = READ | EXECUTE,
  .name = "hello",
  .title = "a title\n",
  .next = &machine,
  .u = { .i = 0x01020304 },
  .inner = -7,
  .word = 0xdeadbeef,
  .op = add,
};
int matrix[3][4] = { { 1, 2, 3, 4 }, { 5, 6, 7, 8 }, { 9, 10, 11, 12 } };
volatile unsigned char bytes[300];
static const u64 huge = 0xfedcba9876543210ull;
double ratio = 1.5;
float half = 0.25f;
long double wide = -2.75L;
_Bool yes = 1;
char letter = 'q';
signed char sc = -3;
short sh = -300;
unsigned short us = 65000;
int negative = -17;
unsigned positive = 4000000000u;
long l = -1;
unsigned long ul = ~0ul;
#ifdef __SIZEOF_INT128__
__int128 very = (__int128)1 << 100;
#else
long long very = 1ll << 50;
#endif
int *ip = &matrix[1][2];
int **ipp = &ip;
void *vp = &machine;
const char *const words[] = { "zero", "one", 0 };
int (*table[2])(int) = { add, 0 };
int (*rows)[4] = &matrix[1];
enum access none = 0, odd = READ | 8, cached = CACHE | WRITE;
enum level level = LOW;
enum color strange = 3;
address_t where = 0xffff800000001000;
struct never *opaque;
volatile const int *const volatile mixed = 0;
int (*(*factory)(int, char *))(void);
struct { int a; char b; } unnamed = { 5, 'b' };
union { float f; unsigned bits; } pun = { .f = 1.0f };
int zeroes[64];
unsigned char octets[256];
short many[65536], few[255], nothing[0];
struct tailed { int n; char tail[]; } tailed = { 7 };
unsigned char digest[6] = { 0xff, 0xad, 0, 1, 2, 3 };
unsigned char text[8] = "text";
unsigned char *raw = digest, *spoken = text;

static inline int scale(int v, int k)
{
  int r = v * k;
  if (r > 10) {
    int t = r - 10;
    r = t + helper(t);
  }
  return r;
}

__attribute__((noinline)) int leaf(int n, vm_t *m)
{
  int sum = 0;
  for (int i = 0; i < n; i++) {
    static int calls;
    calls++;
    sum += m->p[i & 3].x + scale(i, n);
  }
  return sum;
}

__attribute__((noinline)) int middle(int n)
{
  vm_t local = machine;
  local.p[0].x = n;
  int r = leaf(n, &local);
  { long r = n * 3L; bytes[5] = (unsigned char)r; }
  return r + local.op(n) + (int)huge;
}

__attribute__((noinline)) int recurse(int depth, struct point here)
{
  here.x++;
  if (depth == 0) return here.x + middle(here.y);
  return recurse(depth - 1, here) + 1;
}

int main(int argc, char **argv)
{
  struct point here = { argc, 4, 1, 2, 3 };
  int r = recurse(3, here) + middle(argc + 5) + table[0](argc);
  (void)argv;
  bytes[3] = (unsigned char)r;
  bytes[4] = (unsigned char)(words[0][0] + ratio + half + wide + yes + letter + sc + sh + us + negative + positive + l + ul + (long)very);
  bytes[6] = (unsigned char)((long)ipp + (long)vp + (long)rows + none + odd + cached + level + strange + where + (long)opaque);
  bytes[7] = (unsigned char)((long)mixed + (long)factory + unnamed.a + pun.bits + zeroes[1] + raw[1] + spoken[1] + octets[1] + many[1] + few[1] + (long)nothing + tailed.n);
  return r == 3 ? yes : 2;
}
