static inline int helper(int z)
{
  int q = z * 3;

  q ^= 5;
  return q;
}
