/** The guest's secret, computed again (samples/cloudvisor/guest/secret.c): the proof that it prints is checked by it. */
const PAGES = 4;
const PAGE_WORDS = 512;
const TEXT_WORDS = 8;
const ROUNDS = 5;
const SEED = 0x9e3779b97f4a7c15n;
const TEXT = 'SECRET of the guest: nobody else may read this. Page ';

const to64 = (x: bigint) => BigInt.asUintN(64, x);

function xorshift(x: bigint): bigint {
  x ^= to64(x << 13n);
  x ^= x >> 7n;
  return x ^ to64(x << 17n);
}

function textWord(page: number, index: number): bigint {
  const bytes = Buffer.alloc(TEXT_WORDS * 8);
  bytes.write(`${TEXT}${page}`, 'latin1');
  return bytes.readBigUInt64LE(index * 8);
}

/** FNV-1a over the words of the secret after `rounds` rounds of work. */
export function secretDigest(rounds = ROUNDS): bigint {
  const words: bigint[] = [];
  let number = SEED;
  for (let page = 0; page < PAGES; page++) {
    for (let i = 0; i < PAGE_WORDS; i++) {
      words.push(i < TEXT_WORDS ? textWord(page, i) : (number = xorshift(number)));
    }
  }
  for (let round = 0; round < rounds; round++) {
    let chain = SEED;
    words.forEach((word, at) => {
      if (at % PAGE_WORDS >= TEXT_WORDS) words[at] = chain = to64(xorshift(chain ^ word) + BigInt(at % PAGE_WORDS));
    });
  }
  return words.reduce((digest, word) => to64((digest ^ word) * 0x100000001b3n), 0xcbf29ce484222325n);
}
