/* Nothing calls this: --gc-sections removes it, and leaves its debug information behind. */
int never_called(int a)
{
  return a * 3;
}
