// The secret: four pages. Each begins with a line of text, so that whoever sees it knows that he has it; numbers follow,
// which every round of work changes, each by the one before it.
#include "secret.h"

#include <string.h>
#include <x86.h>

#define PAGES 4
#define PAGE_WORDS (PAGE_SIZE / 8)
#define TEXT_WORDS 8
#define SEED 0x9e3779b97f4a7c15ul

#define FNV_OFFSET 0xcbf29ce484222325ul
#define FNV_PRIME 0x100000001b3ul

uint64_t secret_pages[PAGES][PAGE_WORDS] __attribute__((aligned(4096)));

static const char text[TEXT_WORDS * 8] = "SECRET of the guest: nobody else may read this. Page ?";
#define TEXT_PAGE_DIGIT 53

static uint64_t
xorshift(uint64_t x)
{
  x ^= x << 13;
  x ^= x >> 7;
  return x ^ x << 17;
}

void
secret_create(void)
{
  uint64_t number = SEED;
  for (unsigned page = 0; page < PAGES; page++) {
    memcpy(secret_pages[page], text, sizeof(text));
    ((char *)secret_pages[page])[TEXT_PAGE_DIGIT] = (char)('0' + page);
    for (unsigned i = TEXT_WORDS; i < PAGE_WORDS; i++)
      secret_pages[page][i] = number = xorshift(number);
  }
}

// One round of work on all numbers of all pages, in order.
void
secret_stir(void)
{
  uint64_t chain = SEED;
  for (unsigned page = 0; page < PAGES; page++) {
    for (unsigned i = TEXT_WORDS; i < PAGE_WORDS; i++) {
      chain = xorshift(chain ^ secret_pages[page][i]) + i;
      secret_pages[page][i] = chain;
    }
  }
}

// FNV-1a over the words of the secret.
uint64_t
secret_digest(void)
{
  uint64_t digest = FNV_OFFSET;
  for (unsigned page = 0; page < PAGES; page++)
    for (unsigned i = 0; i < PAGE_WORDS; i++)
      digest = (digest ^ secret_pages[page][i]) * FNV_PRIME;
  return digest;
}
