/** Commands of a TPM 2.0 as hexadecimal, built from their parts. */

export const hex = (value: number, bytes: number): string => value.toString(16).padStart(bytes * 2, '0');
export const u8 = (value: number): string => hex(value, 1);
export const u16 = (value: number): string => hex(value, 2);
export const u32 = (value: number): string => hex(value, 4);
export const sized = (content: string): string => u16(content.length / 2) + content;
export const text = (content: string): string => sized(Buffer.from(content).toString('hex'));

const PASSWORD = 0x40000009;
export const OWNER = 0x40000001;
export const NULL = 0x40000007;
export const SHA256 = 0x000b;

/** Empty password authorization for each handle that needs one */
const passwords = (count: number, auth = ''): string => {
  const one = u32(PASSWORD) + sized('') + u8(1) + text(auth);
  const area = one.repeat(count);
  return u32(area.length / 2) + area;
};

interface Parts {
  readonly handles?: readonly number[];
  /** How many of the handles are authorized, with an empty password */
  readonly authorized?: number;
  readonly auth?: string;
}

export function command(
  code: number,
  parameters = '',
  { handles = [], authorized = 0, auth = '' }: Parts = {},
): string {
  const area = authorized > 0 ? passwords(authorized, auth) : '';
  const body = u32(code) + handles.map(u32).join('') + area + parameters;
  return u16(authorized > 0 ? 0x8002 : 0x8001) + u32(6 + body.length / 2) + body;
}

export const selection = (alg: number, ...pcrs: readonly number[]): string => {
  const mask = pcrs.reduce((bits, pcr) => bits | (1 << pcr), 0);
  return u32(1) + u16(alg) + u8(3) + u8(mask & 0xff) + u8((mask >>> 8) & 0xff) + u8((mask >>> 16) & 0xff);
};
const NO_PCR = u32(0);

const EMPTY_SENSITIVE = sized(sized('') + sized(''));
const NO_SCHEME = u16(0x10);
const AES128CFB = u16(6) + u16(128) + u16(0x43);

/** ECC storage key: restricted, decrypt, fixed, user with authorization */
export const storageTemplate = (attributes = 0x00030472, symmetric = AES128CFB, curve = 3): string =>
  u16(0x23) +
  u16(SHA256) +
  u32(attributes) +
  sized('') +
  symmetric +
  NO_SCHEME +
  u16(curve) +
  NO_SCHEME +
  sized('') +
  sized('');
export const signingTemplate = (attributes = 0x00040472, scheme = u16(0x18) + u16(SHA256)): string =>
  u16(0x23) +
  u16(SHA256) +
  u32(attributes) +
  sized('') +
  u16(0x10) +
  scheme +
  u16(3) +
  NO_SCHEME +
  sized('') +
  sized('');
export const sealTemplate = (attributes = 0x00000452, scheme = NO_SCHEME): string =>
  u16(0x08) + u16(SHA256) + u32(attributes) + sized('') + scheme + sized('');
export const hmacTemplate = (): string => sealTemplate(0x00040472, u16(5) + u16(SHA256));

const PRIMARY = { handles: [OWNER], authorized: 1 };
export const createPrimary = (template: string, sensitive = EMPTY_SENSITIVE): string =>
  command(0x131, sensitive + sized(template) + sized('') + NO_PCR, PRIMARY);
export const create = (parent: number, template: string, secret = ''): string =>
  command(0x153, sized(sized('') + text(secret)) + sized(template) + sized('') + NO_PCR, {
    handles: [parent],
    authorized: 1,
  });

export const startSession = (type: number, cipher = u16(0x10), hash = SHA256): string =>
  command(0x176, sized('5a'.repeat(16)) + sized('') + u8(type) + cipher + u16(hash), { handles: [NULL, NULL] });

const PCR16 = { handles: [16], authorized: 1 };
const nvPublic = (attributes: number, size = 8): string =>
  sized(u32(0x01500020) + u16(SHA256) + u32(attributes) + sized('') + u16(size));
export const NV = 0x01500020;

export const SESSION = 0x03000000;
export const OBJECT = 0x80000000;

/** What both TPMs must answer with the same bytes, in this order */
export const DETERMINED: readonly string[] = [
  command(0x144, u16(0)),
  command(0x144, u16(0)),
  command(0x143, u8(1)),
  command(0x17e, selection(SHA256, 0, 1, 7, 16, 17, 22)),
  command(0x182, u32(2) + u16(SHA256) + '11'.repeat(32) + u16(4) + '22'.repeat(20), PCR16),
  command(0x17e, selection(SHA256, 16)),
  command(0x17e, selection(4, 16)),
  command(0x13d, '', PCR16),
  command(0x17e, selection(SHA256, 16)),
  command(0x17d, text('abc') + u16(SHA256) + u32(NULL)),
  command(0x17d, text('abc') + u16(0x0c) + u32(NULL)),
  command(0x17d, text('') + u16(4) + u32(NULL)),
  // A hash sequence, an event sequence
  command(0x186, sized('') + u16(SHA256)),
  command(0x15c, text('ab'.repeat(100)), { handles: [OBJECT], authorized: 1 }),
  command(0x13e, text('the end') + u32(NULL), { handles: [OBJECT], authorized: 1 }),
  command(0x15c, text('gone'), { handles: [OBJECT], authorized: 1 }),
  command(0x167, sized('') + sized(loadable()) + u32(NULL)),
  command(0x173, '', { handles: [OBJECT] }),
  command(0x165, u32(OBJECT)),
  // An index: definition, write, read, its name, and that it goes
  command(0x12a, sized('') + nvPublic(0x00040004), PRIMARY),
  command(0x14e, u16(8) + u16(0), { handles: [NV, NV], authorized: 1 }),
  command(0x137, text('contents') + u16(0), { handles: [NV, NV], authorized: 1 }),
  command(0x14e, u16(8) + u16(0), { handles: [NV, NV], authorized: 1 }),
  command(0x137, text('too long for it') + u16(0), { handles: [NV, NV], authorized: 1 }),
  command(0x169, '', { handles: [NV] }),
  command(0x12a, sized('') + nvPublic(0x00040004), PRIMARY),
  command(0x122, '', { handles: [OWNER, NV], authorized: 1 }),
  command(0x169, '', { handles: [NV] }),
  // The curve, as data
  command(0x17a, u32(6) + u32(0x100) + u32(1)),
  command(0x17a, u32(7) + u32(0) + u32(1)),
  command(0x17a, u32(1) + u32(0) + u32(40)),
  command(0x17a, u32(1) + u32(0x02000000) + u32(4)),
];

/** A public ECC signing key: the point is the curve's base point. */
function loadable(): string {
  const x = '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296';
  const y = '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5';
  return (
    u16(0x23) + u16(SHA256) + u32(0x00040440) + sized('') + u16(0x10) + u16(0x18) + u16(SHA256) + u16(3) + NO_SCHEME +
    sized(x) + sized(y)
  ); // prettier-ignore
}

/** What stands before malformed commands are sent: a primary key at 80000000, a policy session at 03000000, an index. */
export const STAGE: readonly string[] = [
  createPrimary(storageTemplate()),
  startSession(1),
  command(0x12a, sized('') + nvPublic(0x00040004), PRIMARY),
  command(0x137, text('contents') + u16(0), { handles: [NV, NV], authorized: 1 }),
];

/** Well-formed commands for malforming; none of them changes what the others need. */
export const SUBJECTS: readonly string[] = [
  command(0x143, u8(1)),
  command(0x17b, u16(8)),
  command(0x146, text('stir')),
  command(0x17e, selection(SHA256, 0, 1)),
  command(0x182, u32(1) + u16(SHA256) + '11'.repeat(32), PCR16),
  command(0x13c, text('event'), PCR16),
  command(0x13d, '', PCR16),
  command(0x17d, text('abc') + u16(SHA256) + u32(NULL)),
  command(0x173, '', { handles: [OBJECT] }),
  create(OBJECT, sealTemplate(), 'sealed'),
  create(OBJECT, signingTemplate()),
  create(OBJECT, storageTemplate()),
  create(OBJECT, hmacTemplate()),
  create(OBJECT, sealTemplate(0x00040472)),
  create(OBJECT, sealTemplate(0x00060472)),
  create(OBJECT, sealTemplate(0x00020472, u16(0x0a) + u16(SHA256) + u16(0x22))),
  command(0x167, sized('') + sized(loadable()) + u32(0x4000000f)),
  command(0x158, text('qualifying') + NO_SCHEME + selection(SHA256, 0, 16), { handles: [NULL], authorized: 1 }),
  command(0x17f, sized('') + selection(SHA256, 0, 16), { handles: [SESSION] }),
  command(0x16b, '', { handles: [SESSION] }),
  command(0x18c, '', { handles: [SESSION] }),
  command(0x180, '', { handles: [SESSION] }),
  command(0x189, '', { handles: [SESSION] }),
  command(0x171, u32(2) + sized('11'.repeat(32)) + sized('22'.repeat(32)), { handles: [SESSION] }),
  command(0x151, sized('') + sized('') + text('ref') + u32(0), { handles: [OWNER, SESSION], authorized: 1 }),
  command(0x16f, u8(1), { handles: [SESSION] }),
  command(0x14e, u16(8) + u16(0), { handles: [NV, NV], authorized: 1 }),
  command(0x137, text('contents') + u16(0), { handles: [NV, NV], authorized: 1 }),
  command(0x169, '', { handles: [NV] }),
  command(0x181),
  command(0x178, u16(3)),
  command(0x18a, u16(0x23) + AES128CFB + NO_SCHEME + u16(3) + NO_SCHEME),
  command(0x168, text('credential') + text('name'), { handles: [OBJECT] }),
  command(0x163, '', { handles: [OBJECT] }),
  command(0x17a, u32(6) + u32(0x100) + u32(1)),
  command(0x145, u16(0)),
];
