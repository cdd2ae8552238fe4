// AES-128 by tables: one lookup does SubBytes and MixColumns of one byte; ShiftRows is the choice of the words. The tables
// are computed, not copied: the S-box is the inverse in GF(2^8) and an affine map (FIPS 197, 5.1.1).
//
// Lookups depend on secret data, so their timing tells something to who shares a cache; the monitor's promise excludes
// side channels.
#include "aes.h"

static uint8_t sbox[256], inverse_sbox[256];
static uint32_t encrypt_table[256], decrypt_table[256]; // of byte 3; the others are rotations

// Multiplication by x in GF(2^8).
static uint8_t
times_x(uint8_t a)
{
  return (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0));
}

static uint8_t
rotate_byte(uint8_t a, unsigned by)
{
  return (uint8_t)(a << by | a >> (8 - by));
}

static uint32_t
rotate_right(uint32_t a, unsigned by)
{
  return a >> by | a << (32 - by);
}

// p runs through all non-zero elements (powers of x + 1), q through their inverses.
static void
make_sbox(void)
{
  uint8_t p = 1, q = 1;
  do {
    p ^= times_x(p);
    q ^= (uint8_t)(q << 1);
    q ^= (uint8_t)(q << 2);
    q ^= (uint8_t)(q << 4);
    q ^= q & 0x80 ? 0x09 : 0;
    sbox[p] = q ^ rotate_byte(q, 1) ^ rotate_byte(q, 2) ^ rotate_byte(q, 3) ^ rotate_byte(q, 4) ^ 0x63;
  } while (p != 1);
  sbox[0] = 0x63;
  for (unsigned i = 0; i < 256; i++)
    inverse_sbox[sbox[i]] = (uint8_t)i;
}

static uint32_t
word(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
  return (uint32_t)a << 24 | (uint32_t)b << 16 | (uint32_t)c << 8 | d;
}

void
aes_init(void)
{
  make_sbox();
  for (unsigned i = 0; i < 256; i++) {
    uint8_t s = sbox[i], s2 = times_x(s);
    encrypt_table[i] = word(s2, s, s, s2 ^ s);
    uint8_t t = inverse_sbox[i], t2 = times_x(t), t4 = times_x(t2), t8 = times_x(t4);
    decrypt_table[i] = word(t8 ^ t4 ^ t2, t8 ^ t, t8 ^ t4 ^ t, t8 ^ t2 ^ t);
  }
}

static uint32_t
substitute(uint32_t w)
{
  return word(sbox[w >> 24], sbox[w >> 16 & 255], sbox[w >> 8 & 255], sbox[w & 255]);
}

static uint32_t
mix_inverse(uint32_t w)
{
  return decrypt_table[sbox[w >> 24]] ^ rotate_right(decrypt_table[sbox[w >> 16 & 255]], 8) ^
         rotate_right(decrypt_table[sbox[w >> 8 & 255]], 16) ^ rotate_right(decrypt_table[sbox[w & 255]], 24);
}

static void
load(const uint8_t *bytes, uint32_t words[4])
{
  for (unsigned i = 0; i < 4; i++)
    words[i] = word(bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]);
}

static void
store(const uint32_t words[4], uint8_t *bytes)
{
  for (unsigned i = 0; i < 16; i++)
    bytes[i] = (uint8_t)(words[i / 4] >> (24 - i % 4 * 8));
}

// Key expansion (5.2). The keys of decryption are those of encryption in reverse, mixed, so that decryption has the
// same order of steps (5.3.5).
void
aes_set_key(struct aes *aes, const uint8_t key[AES_BLOCK])
{
  uint8_t round_constant = 1;
  uint32_t *k = aes->encrypt;
  load(key, k);
  for (unsigned i = 4; i < 4 * (AES_ROUNDS + 1); i++) {
    uint32_t previous = k[i - 1];
    if (i % 4 == 0) {
      previous = substitute(rotate_right(previous, 24)) ^ (uint32_t)round_constant << 24;
      round_constant = times_x(round_constant);
    }
    k[i] = k[i - 4] ^ previous;
  }
  for (unsigned round = 0; round <= AES_ROUNDS; round++)
    for (unsigned i = 0; i < 4; i++) {
      uint32_t w = k[4 * (AES_ROUNDS - round) + i];
      aes->decrypt[4 * round + i] = round == 0 || round == AES_ROUNDS ? w : mix_inverse(w);
    }
}

// The rounds of both directions differ in their tables and in which word ShiftRows takes each byte from.
static void
rounds(const uint32_t *key, const uint32_t table[256], const uint8_t last[256], unsigned shift, const uint8_t *in,
       uint8_t *out)
{
  uint32_t s[4], t[4];
  load(in, s);
  for (unsigned i = 0; i < 4; i++)
    s[i] ^= key[i];
  for (unsigned round = 1; round < AES_ROUNDS; round++) {
    key += 4;
    for (unsigned i = 0; i < 4; i++)
      t[i] = table[s[i] >> 24] ^ rotate_right(table[s[(i + shift) % 4] >> 16 & 255], 8) ^
             rotate_right(table[s[(i + 2) % 4] >> 8 & 255], 16) ^ rotate_right(table[s[(i + 4 - shift) % 4] & 255], 24) ^
             key[i];
    for (unsigned i = 0; i < 4; i++)
      s[i] = t[i];
  }
  key += 4;
  for (unsigned i = 0; i < 4; i++)
    t[i] = key[i] ^ word(last[s[i] >> 24], last[s[(i + shift) % 4] >> 16 & 255], last[s[(i + 2) % 4] >> 8 & 255],
                         last[s[(i + 4 - shift) % 4] & 255]);
  store(t, out);
}

void
aes_encrypt_block(const struct aes *aes, const uint8_t in[AES_BLOCK], uint8_t out[AES_BLOCK])
{
  rounds(aes->encrypt, encrypt_table, sbox, 1, in, out);
}

void
aes_decrypt_block(const struct aes *aes, const uint8_t in[AES_BLOCK], uint8_t out[AES_BLOCK])
{
  rounds(aes->decrypt, decrypt_table, inverse_sbox, 3, in, out);
}

void
aes_cbc_encrypt(const struct aes *aes, const uint8_t iv[AES_BLOCK], uint8_t *data, unsigned size)
{
  const uint8_t *previous = iv;
  for (unsigned at = 0; at < size; at += AES_BLOCK) {
    for (unsigned i = 0; i < AES_BLOCK; i++)
      data[at + i] ^= previous[i];
    aes_encrypt_block(aes, data + at, data + at);
    previous = data + at;
  }
}

// From the last block to the first: each needs the ciphertext before it.
void
aes_cbc_decrypt(const struct aes *aes, const uint8_t iv[AES_BLOCK], uint8_t *data, unsigned size)
{
  for (unsigned at = size; at > 0; at -= AES_BLOCK) {
    uint8_t *block = data + at - AES_BLOCK;
    const uint8_t *previous = at == AES_BLOCK ? iv : block - AES_BLOCK;
    aes_decrypt_block(aes, block, block);
    for (unsigned i = 0; i < AES_BLOCK; i++)
      block[i] ^= previous[i];
  }
}
