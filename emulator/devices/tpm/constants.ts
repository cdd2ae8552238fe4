/**
 * Numbers of the TPM 2.0 Library, Part 2 (Structures, revision 1.59), by the names the specification gives them
 * without their TPM_ prefixes. Only what this TPM knows is here.
 */

/** TPM_ST, clause 6.9 */
export const St = {
  RSP_COMMAND: 0x00c4,
  NO_SESSIONS: 0x8001,
  SESSIONS: 0x8002,
  ATTEST_NV: 0x8014,
  ATTEST_SESSION_AUDIT: 0x8016,
  ATTEST_CERTIFY: 0x8017,
  ATTEST_QUOTE: 0x8018,
  ATTEST_TIME: 0x8019,
  ATTEST_CREATION: 0x801a,
  CREATION: 0x8021,
  VERIFIED: 0x8022,
  AUTH_SECRET: 0x8023,
  HASHCHECK: 0x8024,
  AUTH_SIGNED: 0x8025,
} as const;

/** TPM_ALG_ID, clause 6.3 */
export const Alg = {
  SHA1: 0x0004,
  HMAC: 0x0005,
  AES: 0x0006,
  KEYEDHASH: 0x0008,
  XOR: 0x000a,
  SHA256: 0x000b,
  SHA384: 0x000c,
  SHA512: 0x000d,
  NULL: 0x0010,
  ECDSA: 0x0018,
  ECDH: 0x0019,
  KDF1_SP800_56A: 0x0020,
  KDF1_SP800_108: 0x0022,
  ECC: 0x0023,
  SYMCIPHER: 0x0025,
  CFB: 0x0043,
} as const;

/** TPM_ECC_CURVE, clause 6.4 */
export const Curve = { P256: 0x0003, P384: 0x0004 } as const;

const FORMAT_ONE = 0x080;
const VERSION_ONE = 0x100;
const WARNING = 0x900;

/** TPM_RC, clause 6.6: format-one codes take a handle, parameter or session number besides (see error.ts). */
export const Rc = {
  SUCCESS: 0,
  BAD_TAG: 0x01e,
  ASYMMETRIC: FORMAT_ONE + 0x001,
  ATTRIBUTES: FORMAT_ONE + 0x002,
  HASH: FORMAT_ONE + 0x003,
  VALUE: FORMAT_ONE + 0x004,
  HIERARCHY: FORMAT_ONE + 0x005,
  KEY_SIZE: FORMAT_ONE + 0x007,
  MODE: FORMAT_ONE + 0x009,
  TYPE: FORMAT_ONE + 0x00a,
  HANDLE: FORMAT_ONE + 0x00b,
  KDF: FORMAT_ONE + 0x00c,
  RANGE: FORMAT_ONE + 0x00d,
  AUTH_FAIL: FORMAT_ONE + 0x00e,
  NONCE: FORMAT_ONE + 0x00f,
  PP: FORMAT_ONE + 0x010,
  SCHEME: FORMAT_ONE + 0x012,
  SIZE: FORMAT_ONE + 0x015,
  SYMMETRIC: FORMAT_ONE + 0x016,
  TAG: FORMAT_ONE + 0x017,
  SELECTOR: FORMAT_ONE + 0x018,
  INSUFFICIENT: FORMAT_ONE + 0x01a,
  SIGNATURE: FORMAT_ONE + 0x01b,
  KEY: FORMAT_ONE + 0x01c,
  POLICY_FAIL: FORMAT_ONE + 0x01d,
  INTEGRITY: FORMAT_ONE + 0x01f,
  TICKET: FORMAT_ONE + 0x020,
  RESERVED_BITS: FORMAT_ONE + 0x021,
  BAD_AUTH: FORMAT_ONE + 0x022,
  EXPIRED: FORMAT_ONE + 0x023,
  POLICY_CC: FORMAT_ONE + 0x024,
  BINDING: FORMAT_ONE + 0x025,
  CURVE: FORMAT_ONE + 0x026,
  ECC_POINT: FORMAT_ONE + 0x027,
  INITIALIZE: VERSION_ONE + 0x000,
  FAILURE: VERSION_ONE + 0x001,
  SEQUENCE: VERSION_ONE + 0x003,
  DISABLED: VERSION_ONE + 0x020,
  AUTH_TYPE: VERSION_ONE + 0x024,
  AUTH_MISSING: VERSION_ONE + 0x025,
  POLICY: VERSION_ONE + 0x026,
  PCR: VERSION_ONE + 0x027,
  PCR_CHANGED: VERSION_ONE + 0x028,
  AUTH_UNAVAILABLE: VERSION_ONE + 0x02f,
  COMMAND_SIZE: VERSION_ONE + 0x042,
  COMMAND_CODE: VERSION_ONE + 0x043,
  AUTHSIZE: VERSION_ONE + 0x044,
  AUTH_CONTEXT: VERSION_ONE + 0x045,
  NV_RANGE: VERSION_ONE + 0x046,
  NV_SIZE: VERSION_ONE + 0x047,
  NV_LOCKED: VERSION_ONE + 0x048,
  NV_AUTHORIZATION: VERSION_ONE + 0x049,
  NV_UNINITIALIZED: VERSION_ONE + 0x04a,
  NV_SPACE: VERSION_ONE + 0x04b,
  NV_DEFINED: VERSION_ONE + 0x04c,
  BAD_CONTEXT: VERSION_ONE + 0x050,
  CPHASH: VERSION_ONE + 0x051,
  SENSITIVE: VERSION_ONE + 0x055,
  OBJECT_MEMORY: WARNING + 0x002,
  SESSION_MEMORY: WARNING + 0x003,
  SESSION_HANDLES: WARNING + 0x005,
  LOCALITY: WARNING + 0x007,
  REFERENCE_H0: WARNING + 0x010,
  REFERENCE_S0: WARNING + 0x018,
  LOCKOUT: WARNING + 0x021,
} as const;

/** TPM_RH and other fixed handles, clause 7.4 */
export const Rh = {
  OWNER: 0x40000001,
  NULL: 0x40000007,
  UNASSIGNED: 0x40000008,
  PW: 0x40000009,
  LOCKOUT: 0x4000000a,
  ENDORSEMENT: 0x4000000b,
  PLATFORM: 0x4000000c,
} as const;

/** TPM_HT, clause 7.2: the upper byte of a handle */
export const Ht = {
  PCR: 0x00,
  NV_INDEX: 0x01,
  HMAC_SESSION: 0x02,
  POLICY_SESSION: 0x03,
  PERMANENT: 0x40,
  TRANSIENT: 0x80,
  PERSISTENT: 0x81,
} as const;

/** TPM_SE, clause 6.11 */
export const Se = { HMAC: 0, POLICY: 1, TRIAL: 3 } as const;

/** TPM_SU, clause 6.10 */
export const Su = { CLEAR: 0, STATE: 1 } as const;

/** TPMA_OBJECT, clause 8.3 */
export const ObjectAttribute = {
  FIXED_TPM: 1 << 1,
  ST_CLEAR: 1 << 2,
  FIXED_PARENT: 1 << 4,
  SENSITIVE_DATA_ORIGIN: 1 << 5,
  USER_WITH_AUTH: 1 << 6,
  ADMIN_WITH_POLICY: 1 << 7,
  NO_DA: 1 << 10,
  ENCRYPTED_DUPLICATION: 1 << 11,
  RESTRICTED: 1 << 16,
  DECRYPT: 1 << 17,
  SIGN: 1 << 18,
  X509_SIGN: 1 << 19,
} as const;
export const OBJECT_RESERVED = ~Object.values(ObjectAttribute).reduce((all, bit) => all | bit, 0);

/** TPMA_SESSION, clause 8.4 */
export const SessionAttribute = {
  CONTINUE: 1 << 0,
  AUDIT_EXCLUSIVE: 1 << 1,
  AUDIT_RESET: 1 << 2,
  DECRYPT: 1 << 5,
  ENCRYPT: 1 << 6,
  AUDIT: 1 << 7,
} as const;
export const SESSION_RESERVED = 0x18;

/** TPMA_NV, clause 13.4 */
export const NvAttribute = {
  PPWRITE: 1 << 0,
  OWNERWRITE: 1 << 1,
  AUTHWRITE: 1 << 2,
  POLICYWRITE: 1 << 3,
  POLICY_DELETE: 1 << 10,
  WRITELOCKED: 1 << 11,
  WRITEALL: 1 << 12,
  WRITEDEFINE: 1 << 13,
  WRITE_STCLEAR: 1 << 14,
  GLOBALLOCK: 1 << 15,
  PPREAD: 1 << 16,
  OWNERREAD: 1 << 17,
  AUTHREAD: 1 << 18,
  POLICYREAD: 1 << 19,
  NO_DA: 1 << 25,
  ORDERLY: 1 << 26,
  CLEAR_STCLEAR: 1 << 27,
  READLOCKED: 1 << 28,
  WRITTEN: 1 << 29,
  PLATFORMCREATE: 1 << 30,
  READ_STCLEAR: 0x80000000,
} as const;
export const NV_RESERVED = 0x01f00300;
/** TPM_NT, in bits 7:4 of TPMA_NV */
export const NvType = { ORDINARY: 0, COUNTER: 1, BITS: 2, EXTEND: 4 } as const;

/** TPM_CAP, clause 6.12 */
export const Capability = {
  ALGS: 0,
  HANDLES: 1,
  COMMANDS: 2,
  PP_COMMANDS: 3,
  AUDIT_COMMANDS: 4,
  PCRS: 5,
  TPM_PROPERTIES: 6,
  PCR_PROPERTIES: 7,
  ECC_CURVES: 8,
} as const;

/** TPM_GENERATED_VALUE: what attestation structures begin with, so that a restricted key signs nothing else like it */
export const GENERATED = 0xff544347;

/** TPM_CC, clause 6.5 */
export const Cc = {
  NV_UndefineSpaceSpecial: 0x11f,
  EvictControl: 0x120,
  HierarchyControl: 0x121,
  NV_UndefineSpace: 0x122,
  Clear: 0x126,
  ClearControl: 0x127,
  HierarchyChangeAuth: 0x129,
  NV_DefineSpace: 0x12a,
  PCR_Allocate: 0x12b,
  SetPrimaryPolicy: 0x12e,
  CreatePrimary: 0x131,
  NV_Increment: 0x134,
  NV_SetBits: 0x135,
  NV_Extend: 0x136,
  NV_Write: 0x137,
  NV_WriteLock: 0x138,
  DictionaryAttackLockReset: 0x139,
  DictionaryAttackParameters: 0x13a,
  NV_ChangeAuth: 0x13b,
  PCR_Event: 0x13c,
  PCR_Reset: 0x13d,
  SequenceComplete: 0x13e,
  IncrementalSelfTest: 0x142,
  SelfTest: 0x143,
  Startup: 0x144,
  Shutdown: 0x145,
  StirRandom: 0x146,
  ActivateCredential: 0x147,
  Certify: 0x148,
  PolicyNV: 0x149,
  CertifyCreation: 0x14a,
  NV_Read: 0x14e,
  NV_ReadLock: 0x14f,
  ObjectChangeAuth: 0x150,
  PolicySecret: 0x151,
  Create: 0x153,
  ECDH_ZGen: 0x154,
  HMAC: 0x155,
  Load: 0x157,
  Quote: 0x158,
  HMAC_Start: 0x15b,
  SequenceUpdate: 0x15c,
  Sign: 0x15d,
  Unseal: 0x15e,
  PolicySigned: 0x160,
  ContextLoad: 0x161,
  ContextSave: 0x162,
  ECDH_KeyGen: 0x163,
  FlushContext: 0x165,
  LoadExternal: 0x167,
  MakeCredential: 0x168,
  NV_ReadPublic: 0x169,
  PolicyAuthorize: 0x16a,
  PolicyAuthValue: 0x16b,
  PolicyCommandCode: 0x16c,
  PolicyCounterTimer: 0x16d,
  PolicyCpHash: 0x16e,
  PolicyLocality: 0x16f,
  PolicyNameHash: 0x170,
  PolicyOR: 0x171,
  PolicyTicket: 0x172,
  ReadPublic: 0x173,
  StartAuthSession: 0x176,
  VerifySignature: 0x177,
  ECC_Parameters: 0x178,
  GetCapability: 0x17a,
  GetRandom: 0x17b,
  GetTestResult: 0x17c,
  Hash: 0x17d,
  PCR_Read: 0x17e,
  PolicyPCR: 0x17f,
  PolicyRestart: 0x180,
  ReadClock: 0x181,
  PCR_Extend: 0x182,
  EventSequenceComplete: 0x185,
  HashSequenceStart: 0x186,
  PolicyDuplicationSelect: 0x188,
  PolicyGetDigest: 0x189,
  TestParms: 0x18a,
  PolicyPassword: 0x18c,
  PolicyNvWritten: 0x18f,
  CreateLoaded: 0x191,
} as const;
