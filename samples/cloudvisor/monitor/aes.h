#pragma once
#include <stdint.h>

#define AES_BLOCK 16
#define AES_ROUNDS 10

// AES-128 (FIPS 197): round keys for both directions.
struct aes {
  uint32_t encrypt[4 * (AES_ROUNDS + 1)], decrypt[4 * (AES_ROUNDS + 1)];
};

void aes_init(void);
void aes_set_key(struct aes *aes, const uint8_t key[AES_BLOCK]);
void aes_encrypt_block(const struct aes *aes, const uint8_t in[AES_BLOCK], uint8_t out[AES_BLOCK]);
void aes_decrypt_block(const struct aes *aes, const uint8_t in[AES_BLOCK], uint8_t out[AES_BLOCK]);

// Cipher block chaining over whole blocks, in place.
void aes_cbc_encrypt(const struct aes *aes, const uint8_t iv[AES_BLOCK], uint8_t *data, unsigned size);
void aes_cbc_decrypt(const struct aes *aes, const uint8_t iv[AES_BLOCK], uint8_t *data, unsigned size);
