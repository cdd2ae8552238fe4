#include "fields.h"

#define ROW(name, kind) { name, FIELD_##kind },
const struct field fields[FIELD_COUNT] = { VMCS_FIELDS(ROW) };
#undef ROW

// The index of a field by its encoding, -1 when the table does not have it. The rows are sorted.
int
field_find(uint64_t encoding)
{
  int low = 0, high = FIELD_COUNT - 1;
  while (low <= high) {
    int middle = (low + high) / 2;
    if (fields[middle].encoding == encoding)
      return middle;
    if (fields[middle].encoding < encoding)
      low = middle + 1;
    else
      high = middle - 1;
  }
  return -1;
}
