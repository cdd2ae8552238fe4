#include "sealed.h"

#include "console.h"

#include <stddef.h>
#include <string.h>

#define MAX_SEALED 2048

static struct sealed records[MAX_SEALED];
static unsigned used; // records from here on have never been used

// The record of the page that belongs at this address of this VM; NULL: it never left, or is back.
struct sealed *
sealed_find(unsigned vm, uint64_t gpa)
{
  for (unsigned i = 0; i < used; i++)
    if (records[i].vm == vm && records[i].gpa == gpa)
      return &records[i];
  return NULL;
}

struct sealed *
sealed_new(unsigned vm, uint64_t gpa)
{
  unsigned i = 0;
  while (i < used && records[i].vm != 0)
    i++;
  if (i == MAX_SEALED)
    panic("sealed_new: no room for another record");
  used = i == used ? used + 1 : used;
  records[i].vm = vm;
  records[i].gpa = gpa;
  return &records[i];
}

void
sealed_forget(struct sealed *record)
{
  memset(record, 0, sizeof(*record));
}

void
sealed_forget_vm(unsigned vm)
{
  for (unsigned i = 0; i < used; i++)
    if (records[i].vm == vm)
      sealed_forget(&records[i]);
}
