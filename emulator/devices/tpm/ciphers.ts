import { cfb } from '@noble/ciphers/aes.js';

export const AES_BLOCK = 16;
export const ZERO_IV = new Uint8Array(AES_BLOCK);

export const encryptCfb = (key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array =>
  data.length ? cfb(key, iv).encrypt(data) : data;

export const decryptCfb = (key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array =>
  data.length ? cfb(key, iv).decrypt(data) : data;

/** XOR obfuscation (Part 1, clause 11.4.7.3); the mask is as long as the data. */
export const xor = (data: Uint8Array, mask: Uint8Array): Uint8Array => data.map((byte, i) => byte ^ (mask[i] ?? 0));
