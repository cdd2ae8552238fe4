import { EMPTY, TpmReader, trimmed, TpmWriter } from '../buffer';
import { command, sizedParameter, type CommandRow, type Execution } from '../command';
import { Cc, Ht, NV_RESERVED, NvAttribute, NvType, Rc, Rh } from '../constants';
import { handleType } from '../entities';
import { fail, failHandle, failParameter } from '../error';
import { digestSize, hash, LARGEST_DIGEST } from '../hash';
import { LARGEST_NV, NV_BUFFER, nvFixedSize, nvName, nvPublicBytes, nvType, type NvIndex } from '../nv';
import { auth, buffer, u16, u64 } from '../parameters';
import { has, readHashAlg } from '../public-area';

type NvPublic = Pick<NvIndex, 'handle' | 'nameAlg' | 'attributes' | 'policy' | 'size'>;

/** TPM2B_NV_PUBLIC */
const nvPublic = sizedParameter((from: TpmReader): NvPublic => {
  const size = from.u16();
  if (size === 0) fail(Rc.SIZE);
  const start = from.position;
  const handle = from.u32();
  if (handleType(handle) !== Ht.NV_INDEX) fail(Rc.VALUE);
  const nameAlg = readHashAlg(from);
  const attributes = from.u32();
  if (attributes & NV_RESERVED) fail(Rc.RESERVED_BITS);
  const policy = from.sized(LARGEST_DIGEST);
  const dataSize = from.u16();
  if (dataSize > LARGEST_NV) fail(Rc.SIZE);
  if (from.position - start !== size) fail(Rc.SIZE);
  return { handle, nameAlg, attributes, policy, size: dataSize };
});

const {
  PPWRITE,
  OWNERWRITE,
  AUTHWRITE,
  POLICYWRITE,
  POLICY_DELETE,
  WRITELOCKED,
  WRITEALL,
  WRITEDEFINE,
  WRITE_STCLEAR,
  PPREAD,
  OWNERREAD,
  AUTHREAD,
  POLICYREAD,
  CLEAR_STCLEAR,
  READLOCKED,
  WRITTEN,
  PLATFORMCREATE,
  READ_STCLEAR,
} = NvAttribute;

function define({ tpm, handles: [by = 0] }: Execution, value: Uint8Array, area: NvPublic): void {
  const fixed = nvFixedSize(nvType(area), area.nameAlg);
  const types: readonly number[] = Object.values(NvType);
  if (!types.includes(nvType(area))) failParameter(Rc.ATTRIBUTES, 2);
  if (area.policy.length !== 0 && area.policy.length !== digestSize(area.nameAlg)) failParameter(Rc.SIZE, 2);
  const authValue = trimmed(value);
  if (authValue.length > digestSize(area.nameAlg)) failParameter(Rc.SIZE, 1);
  if (fixed !== undefined && area.size !== fixed) failParameter(Rc.SIZE, 2);
  if (fixed !== undefined && has(area, WRITEALL) && nvType(area) !== NvType.EXTEND) failParameter(Rc.ATTRIBUTES, 2);
  if (has(area, WRITTEN | WRITELOCKED | READLOCKED)) failParameter(Rc.ATTRIBUTES, 2);
  if (!has(area, PPREAD | OWNERREAD | AUTHREAD | POLICYREAD)) failParameter(Rc.ATTRIBUTES, 2);
  if (!has(area, PPWRITE | OWNERWRITE | AUTHWRITE | POLICYWRITE)) failParameter(Rc.ATTRIBUTES, 2);
  if (has(area, CLEAR_STCLEAR) && nvType(area) === NvType.COUNTER) failParameter(Rc.ATTRIBUTES, 2);
  const platform = by === (Rh.PLATFORM as number);
  if (has(area, PLATFORMCREATE) !== platform) failHandle(Rc.ATTRIBUTES, 1);
  if (has(area, POLICY_DELETE) && !platform) failParameter(Rc.ATTRIBUTES, 2);
  tpm.nv.define({ ...area, auth: authValue });
}

function undefine({ tpm, handles: [by = 0, handle = 0] }: Execution): void {
  const index = tpm.nv.indexes.get(handle) ?? failHandle(Rc.HANDLE, 2);
  if (has(index, POLICY_DELETE)) failHandle(Rc.ATTRIBUTES, 2);
  if (by === (Rh.OWNER as number) && has(index, PLATFORMCREATE)) fail(Rc.NV_AUTHORIZATION);
  tpm.nv.indexes.delete(handle);
}

/** The index of a command that uses it, once the authorization is one that the index allows (Part 1, clause 37.3) */
function indexOf({ tpm, handles: [by = 0, handle = 0] }: Execution, owner: number, platform: number): NvIndex {
  const index = tpm.nv.indexes.get(handle) ?? failHandle(Rc.HANDLE, 2);
  const allowed =
    by === (Rh.OWNER as number)
      ? has(index, owner)
      : by === (Rh.PLATFORM as number)
        ? has(index, platform)
        : by === handle;
  return allowed ? index : fail(Rc.NV_AUTHORIZATION);
}

const toRead = (x: Execution): NvIndex => indexOf(x, OWNERREAD, PPREAD);
const toWrite = (x: Execution): NvIndex => indexOf(x, OWNERWRITE, PPWRITE);

function readable(x: Execution): NvIndex {
  const index = toRead(x);
  if (has(index, READLOCKED)) fail(Rc.NV_LOCKED);
  return has(index, WRITTEN) ? index : fail(Rc.NV_UNINITIALIZED);
}

function writable(x: Execution): NvIndex {
  const index = toWrite(x);
  return has(index, WRITELOCKED) ? fail(Rc.NV_LOCKED) : index;
}

function written(index: NvIndex): void {
  index.attributes = (index.attributes | WRITTEN) >>> 0;
}

function write(x: Execution, data: Uint8Array, offset: number): void {
  const index = writable(x);
  if (nvType(index) !== NvType.ORDINARY) fail(Rc.ATTRIBUTES);
  if (offset > index.size) failParameter(Rc.VALUE, 2);
  if (offset + data.length > index.size) fail(Rc.NV_RANGE);
  if (has(index, WRITEALL) && data.length < index.size) fail(Rc.NV_RANGE);
  if (!has(index, WRITTEN)) index.data.fill(0xff);
  index.data.set(data, offset);
  written(index);
}

function increment(x: Execution): void {
  const index = writable(x);
  const { nv } = x.tpm;
  if (nvType(index) !== NvType.COUNTER) failHandle(Rc.ATTRIBUTES, 2);
  const before = has(index, WRITTEN) ? new TpmReader(index.data).u64() : nv.highestCount;
  const count = BigInt.asUintN(64, before + 1n);
  if (count > nv.highestCount) nv.highestCount = count;
  index.data = new TpmWriter().u64(count).finish();
  written(index);
}

function setBits(x: Execution, bits: bigint): void {
  const index = writable(x);
  if (nvType(index) !== NvType.BITS) failHandle(Rc.ATTRIBUTES, 2);
  const before = has(index, WRITTEN) ? new TpmReader(index.data).u64() : 0n;
  index.data = new TpmWriter().u64(before | bits).finish();
  written(index);
}

function extend(x: Execution, data: Uint8Array): void {
  const index = writable(x);
  if (nvType(index) !== NvType.EXTEND) failHandle(Rc.ATTRIBUTES, 2);
  const before = has(index, WRITTEN) ? index.data : new Uint8Array(digestSize(index.nameAlg));
  index.data = hash(index.nameAlg, before, data);
  written(index);
}

function read(x: Execution, size: number, offset: number): void {
  const index = readable(x);
  if (size > NV_BUFFER) failParameter(Rc.VALUE, 1);
  if (offset > index.size) failParameter(Rc.VALUE, 2);
  if (offset + size > index.size) fail(Rc.NV_RANGE);
  x.out.sized(index.data.slice(offset, offset + size));
}

const BY = { kind: 'NV authorization', role: 'user' } as const;
const INDEX = { kind: 'NV index' } as const;

/** Part 3, clause 31 */
export const nvCommands: readonly CommandRow[] = [
  command(
    Cc.NV_DefineSpace,
    'NV_DefineSpace',
    { handles: [{ kind: 'provision', role: 'user' }], parameters: [auth, nvPublic], nv: true },
    define,
  ),
  command(
    Cc.NV_UndefineSpace,
    'NV_UndefineSpace',
    { handles: [{ kind: 'provision', role: 'user' }, INDEX], nv: true },
    undefine,
  ),
  command(Cc.NV_ReadPublic, 'NV_ReadPublic', { handles: [INDEX], encrypts: true }, ({ tpm, handles, out }) => {
    const index = tpm.nv.indexes.get(handles[0] ?? 0) ?? failHandle(Rc.HANDLE, 1);
    out.sized(nvPublicBytes(index)).sized(nvName(index));
  }),
  command(
    Cc.NV_Write,
    'NV_Write',
    { handles: [BY, INDEX], parameters: [buffer, u16], nv: true, nvAccess: 'write' },
    write,
  ),
  command(Cc.NV_Increment, 'NV_Increment', { handles: [BY, INDEX], nv: true, nvAccess: 'write' }, increment),
  command(
    Cc.NV_SetBits,
    'NV_SetBits',
    { handles: [BY, INDEX], parameters: [u64], nv: true, nvAccess: 'write' },
    setBits,
  ),
  command(
    Cc.NV_Extend,
    'NV_Extend',
    { handles: [BY, INDEX], parameters: [buffer], nv: true, nvAccess: 'write' },
    extend,
  ),
  command(Cc.NV_WriteLock, 'NV_WriteLock', { handles: [BY, INDEX], nv: true, nvAccess: 'write' }, (x) => {
    const index = toWrite(x);
    if (!has(index, WRITEDEFINE | WRITE_STCLEAR)) failHandle(Rc.ATTRIBUTES, 2);
    index.attributes = (index.attributes | WRITELOCKED) >>> 0;
  }),
  command(
    Cc.NV_Read,
    'NV_Read',
    { handles: [BY, INDEX], parameters: [u16, u16], encrypts: true, nvAccess: 'read' },
    read,
  ),
  command(Cc.NV_ReadLock, 'NV_ReadLock', { handles: [BY, INDEX], nv: true, nvAccess: 'read' }, (x) => {
    const index = toRead(x);
    if (!has(index, READ_STCLEAR)) failHandle(Rc.ATTRIBUTES, 2);
    index.attributes = (index.attributes | READLOCKED) >>> 0;
  }),
  command(
    Cc.NV_ChangeAuth,
    'NV_ChangeAuth',
    { handles: [{ kind: 'NV index', role: 'admin' }], parameters: [auth], nv: true },
    ({ tpm, handles: [handle = 0] }, value) => {
      const index = tpm.nv.indexes.get(handle) ?? failHandle(Rc.HANDLE, 1);
      const authValue = trimmed(value);
      if (authValue.length > digestSize(index.nameAlg)) failParameter(Rc.SIZE, 1);
      index.auth = authValue.length > 0 ? authValue : EMPTY;
    },
  ),
];
