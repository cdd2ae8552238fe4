#include "helper.h"
struct point { int x, y; unsigned flag:3, mode:5; long long big:40; };
enum color { RED, GREEN = 5, BLUE };
typedef struct vm { struct point p[4]; enum color c; char name[16]; const char *title; struct vm *next; union { int i; unsigned char b[4]; } u; int (*op)(int); } vm_t;
static int add(int a) { return a + 1; }
vm_t machine = { .p = {{1,2,3,4,-5},{3,4}}, .c = GREEN, .name = "hello", .title = "a title", .next = &machine, .u = { .i = 0x01020304 }, .op = add };
int matrix[3][4] = {{1,2,3,4},{5,6,7,8},{9,10,11,12}};
volatile unsigned char bytes[300];
static const unsigned long long huge = 0xfedcba9876543210ull;
double ratio = 1.5; float half = 0.25f; _Bool yes = 1; signed char sc = -3; short sh = -300; unsigned short us = 65000; long l = -1; unsigned long ul = ~0ul;
int *ip = &matrix[1][2];
void *vp = &machine;
static inline int scale(int v, int k) { int r = v * k; if (r > 10) { int t = r - 10; r = t + helper(t); } return r; }
__attribute__((noinline)) int leaf(int n, vm_t *m) { int sum = 0; for (int i = 0; i < n; i++) { static int calls; calls++; sum += m->p[i & 3].x + scale(i, n); } return sum; }
__attribute__((noinline)) int middle(int n) { vm_t local = machine; local.p[0].x = n; int r = leaf(n, &local); return r + local.op(n) + (int)huge; }
int main(int argc, char **argv) { int r = middle(argc + 5); (void)argv; bytes[3] = r; return r == 3 ? yes : 2; }
