/* What a program without a C library needs. */
int main(int argc, char **argv);

void _start(void)
{
  main(1, 0);
  for (;;)
    ;
}

void *memcpy(void *to, const void *from, unsigned long n)
{
  char *t = to;
  const char *f = from;
  while (n--)
    *t++ = *f++;
  return to;
}

void *memset(void *to, int byte, unsigned long n)
{
  char *t = to;
  while (n--)
    *t++ = (char)byte;
  return to;
}
