import { EMPTY, equal, trimmed } from '../buffer';
import { command, type CommandRow, type Execution } from '../command';
import { Alg, Cc, Ht, ObjectAttribute, Rc, Rh } from '../constants';
import { createAreas, qualify, underHierarchy, underParent, writeCreation, type Template } from '../creation';
import { primaryDrbg } from '../drbg';
import { handleType, keyAt, objectAt } from '../entities';
import { fail, failHandle, failParameter, numbered, ofHandle, ofParameter } from '../error';
import { digestSize } from '../hash';
import { checkAttributes, checkBinding, checkSchemes, requireStorageParent, type Blame } from '../object-checks';
import { isTemporary, keyObject, type KeyObject } from '../object';
import {
  auth,
  credentialBlob,
  data,
  digest,
  encryptedSecret,
  hierarchyOrNull,
  name,
  persistentHandle,
  privateArea,
  publicArea,
  publicAreaOrNull,
  publicParameters,
  selections,
  sensitive,
  sensitiveCreate,
} from '../parameters';
import { protectorOf, unwrap, unwrapCredential, wrap, wrapCredential } from '../protection';
import { has, nameOf, publicBytes, type PublicArea } from '../public-area';
import { recoverSecret, shareSecret } from '../secret-exchange';
import type { SensitiveArea } from '../sensitive-area';

const template = (
  given: Template['sensitive'],
  area: PublicArea,
  outsideInfo: Uint8Array,
  pcrs: Template['pcrs'],
): Template => ({ sensitive: given, area, outsideInfo, pcrs });

const blame = (publicParameter: number, sensitiveParameter: number): Blame => ({
  public: (code) => failParameter(code, publicParameter),
  sensitive: (code) => failParameter(code, sensitiveParameter),
});

function parentOf({ tpm, handles: [handle = 0] }: Execution): KeyObject {
  return numbered(
    (code) => ofHandle(code, 1),
    () => requireStorageParent(keyAt(tpm, handle)),
  );
}

/** A key of a handle that must be one, not a sequence */
const keyOf = (x: Execution, i: number): KeyObject =>
  numbered(
    (code) => ofHandle(code, i + 1),
    () => keyAt(x.tpm, x.handles[i] ?? 0),
  );

function createPrimary(x: Execution, given: Template): void {
  const { tpm, out, handles } = x;
  const [hierarchy = 0] = handles;
  tpm.objects.requireFree();
  const { seed } = tpm.hierarchies.get(hierarchy);
  const random = primaryDrbg(seed, publicBytes(given.area));
  const made = createAreas(given, undefined, random);
  const above = underHierarchy(hierarchy);
  const itsName = nameOf(made.area);
  const qualifiedName = qualify(above.qualifiedName, made.area.nameAlg, itsName);
  x.resultHandle = tpm.objects.add(keyObject(made.area, made.sensitive, { qualifiedName, hierarchy }));
  out.sized(publicBytes(made.area));
  writeCreation(x, given, above, { nameAlg: made.area.nameAlg, name: itsName, hierarchy });
  out.sized(itsName);
}

function create(x: Execution, given: Template): void {
  const { tpm, out } = x;
  const parent = parentOf(x);
  const made = createAreas(given, parent, tpm.drbg);
  const itsName = nameOf(made.area);
  out.sized(wrap(protectorOf(parent), itsName, made.sensitive, tpm.drbg)).sized(publicBytes(made.area));
  writeCreation(x, given, underParent(parent), {
    nameAlg: made.area.nameAlg,
    name: itsName,
    hierarchy: parent.hierarchy,
  });
}

/** A primary object or a child, made and loaded at once (Part 3, clause 12.9); there are no derivation parents. */
function createLoaded(x: Execution, given: Template): void {
  const { tpm, out } = x;
  const [above = 0] = x.handles;
  tpm.objects.requireFree();
  const isPrimary = handleType(above) === Ht.PERMANENT;
  const parent = isPrimary ? undefined : parentOf(x);
  const hierarchy = parent?.hierarchy ?? above;
  const random = isPrimary ? primaryDrbg(tpm.hierarchies.get(above).seed, publicBytes(given.area)) : tpm.drbg;
  const made = createAreas(given, parent, random);
  const itsName = nameOf(made.area);
  const place = parent ? underParent(parent) : underHierarchy(above);
  const object = keyObject(made.area, made.sensitive, {
    qualifiedName: qualify(place.qualifiedName, made.area.nameAlg, itsName),
    hierarchy,
    stClear: parent?.stClear || has(made.area, ObjectAttribute.ST_CLEAR),
  });
  x.resultHandle = tpm.objects.add(object);
  out.sized(parent ? wrap(protectorOf(parent), itsName, made.sensitive, tpm.drbg) : EMPTY);
  out.sized(publicBytes(made.area)).sized(itsName);
}

function load(x: Execution, wrapped: Uint8Array, area: PublicArea): void {
  const { tpm, out } = x;
  if (wrapped.length === 0) failParameter(Rc.SIZE, 1);
  const parent = parentOf(x);
  const itsName = nameOf(area);
  const secret = numbered(
    (code) => ofParameter(code, 1),
    () => unwrap(protectorOf(parent), itsName, wrapped),
  );
  numbered(
    (code) => ofParameter(code, 2),
    () => checkAttributes(area, parent),
  );
  checkBinding(area, secret, blame(2, 1));
  const object = keyObject(area, secret, {
    qualifiedName: qualify(parent.qualifiedName, area.nameAlg, itsName),
    hierarchy: parent.hierarchy,
    stClear: parent.stClear || has(area, ObjectAttribute.ST_CLEAR),
  });
  x.resultHandle = tpm.objects.add(object);
  out.sized(object.name);
}

function loadExternal(
  { tpm, out }: Execution,
  secret: SensitiveArea | undefined,
  area: PublicArea,
  hierarchy: number,
): number {
  tpm.objects.requireFree();
  if (!tpm.hierarchies.get(hierarchy).enabled) failParameter(Rc.HIERARCHY, 3);
  const { FIXED_TPM, FIXED_PARENT, RESTRICTED } = ObjectAttribute;
  if (secret) {
    if (hierarchy !== (Rh.NULL as number)) failParameter(Rc.HIERARCHY, 3);
    if (has(area, FIXED_TPM | FIXED_PARENT | RESTRICTED)) failParameter(Rc.ATTRIBUTES, 2);
  }
  numbered(
    (code) => ofParameter(code, 2),
    () => {
      if (!secret || area.nameAlg === Alg.NULL) checkSchemes(area, undefined);
      else checkAttributes(area, undefined);
    },
  );
  checkBinding(area, secret, blame(2, 1));
  const object = keyObject(area, secret, { qualifiedName: nameOf(area), hierarchy, external: true });
  out.sized(object.name);
  return tpm.objects.add(object);
}

function evictControl({ tpm, handles }: Execution, wanted: number): void {
  const [by = 0, handle = 0] = handles;
  const object = objectAt(tpm, handle);
  if (object?.kind !== 'key' || isTemporary(object) || object.stClear || !object.sensitive)
    return failHandle(Rc.ATTRIBUTES, 2);
  const platform = by === (Rh.PLATFORM as number);
  const persistent = handleType(handle) === Ht.PERSISTENT;
  if (persistent && handle !== wanted) failHandle(Rc.HANDLE, 2);
  if (!platform || !persistent) {
    if ((object.hierarchy === Rh.PLATFORM) !== platform) failHandle(Rc.HIERARCHY, 2);
    // The upper half of the range is the platform's (Part 2, clause 7.5).
    if (wanted >= 0x81800000 !== platform) failParameter(Rc.RANGE, 1);
  }
  if (persistent) tpm.nv.persistent.delete(handle);
  else tpm.nv.keep(wanted, object);
}

/** Part 3, clauses 12, 15.2 (TestParms is 30.3), 24.1, 28.5 */
export const objectCommands: readonly CommandRow[] = [
  command(
    Cc.CreatePrimary,
    'CreatePrimary',
    {
      handles: [{ kind: 'hierarchy or null', role: 'user' }],
      parameters: [sensitiveCreate, publicArea, data, selections],
      encrypts: true,
      resultHandle: true,
      extensive: true,
    },
    (x, ...given) => createPrimary(x, template(...given)),
  ),
  command(
    Cc.Create,
    'Create',
    {
      handles: [{ kind: 'object', role: 'user' }],
      parameters: [sensitiveCreate, publicArea, data, selections],
      encrypts: true,
    },
    (x, ...given) => create(x, template(...given)),
  ),
  command(
    Cc.CreateLoaded,
    'CreateLoaded',
    {
      handles: [{ kind: 'parent', role: 'user' }],
      parameters: [sensitiveCreate, publicArea],
      encrypts: true,
      resultHandle: true,
    },
    (x, given, area) => createLoaded(x, template(given, area, EMPTY, [])),
  ),
  command(
    Cc.Load,
    'Load',
    {
      handles: [{ kind: 'object', role: 'user' }],
      parameters: [privateArea, publicArea],
      encrypts: true,
      resultHandle: true,
    },
    load,
  ),
  command(
    Cc.LoadExternal,
    'LoadExternal',
    { parameters: [sensitive, publicAreaOrNull, hierarchyOrNull], encrypts: true, resultHandle: true },
    (x, secret, area, hierarchy) => {
      x.resultHandle = loadExternal(x, secret, area, hierarchy);
    },
  ),
  command(Cc.ReadPublic, 'ReadPublic', { handles: [{ kind: 'object' }], encrypts: true }, (x) => {
    const object = objectAt(x.tpm, x.handles[0] ?? 0);
    if (object?.kind !== 'key') return fail(Rc.SEQUENCE);
    x.out.sized(publicBytes(object.area)).sized(object.name).sized(object.qualifiedName);
  }),
  command(
    Cc.ObjectChangeAuth,
    'ObjectChangeAuth',
    {
      handles: [{ kind: 'object', role: 'admin' }, { kind: 'object' }],
      parameters: [auth],
      encrypts: true,
    },
    (x, value) => {
      const [object, parent] = [keyOf(x, 0), keyOf(x, 1)];
      if (!object.sensitive) return failHandle(Rc.HANDLE, 1);
      const authValue = trimmed(value);
      if (authValue.length > digestSize(object.area.nameAlg)) failParameter(Rc.SIZE, 1);
      if (
        !parent.sensitive ||
        !equal(qualify(parent.qualifiedName, object.area.nameAlg, object.name), object.qualifiedName)
      )
        failHandle(Rc.TYPE, 2);
      x.out.sized(wrap(protectorOf(parent), object.name, { ...object.sensitive, authValue }, x.tpm.drbg));
    },
  ),
  command(Cc.Unseal, 'Unseal', { handles: [{ kind: 'object', role: 'user' }], encrypts: true }, (x) => {
    const { area, sensitive: secret } = keyOf(x, 0);
    if (area.type !== Alg.KEYEDHASH) return failHandle(Rc.TYPE, 1);
    const { DECRYPT, SIGN, RESTRICTED } = ObjectAttribute;
    if (has(area, DECRYPT | SIGN | RESTRICTED)) failHandle(Rc.ATTRIBUTES, 1);
    x.out.sized(secret?.secret ?? fail(Rc.KEY));
  }),
  command(
    Cc.MakeCredential,
    'MakeCredential',
    { handles: [{ kind: 'object' }], parameters: [digest, name], encrypts: true },
    (x, credential, objectName) => {
      const key = keyOf(x, 0);
      const { RESTRICTED, DECRYPT } = ObjectAttribute;
      if (key.area.type !== Alg.ECC || !has(key.area, RESTRICTED) || !has(key.area, DECRYPT)) failHandle(Rc.TYPE, 1);
      if (credential.length > digestSize(key.area.nameAlg)) failParameter(Rc.SIZE, 1);
      const shared = shareSecret(key, 'IDENTITY', x.tpm.drbg);
      const protector = { ...protectorOf(key), seed: shared.secret };
      x.out.sized(wrapCredential(protector, objectName, credential)).sized(shared.message);
    },
  ),
  command(
    Cc.ActivateCredential,
    'ActivateCredential',
    {
      handles: [
        { kind: 'object', role: 'admin' },
        { kind: 'object', role: 'user' },
      ],
      parameters: [credentialBlob, encryptedSecret],
      encrypts: true,
    },
    (x, blob, message) => {
      const [object, key] = [keyOf(x, 0), keyOf(x, 1)];
      const { RESTRICTED, DECRYPT } = ObjectAttribute;
      if (key.area.type !== Alg.ECC || !key.sensitive || !has(key.area, RESTRICTED) || !has(key.area, DECRYPT))
        failHandle(Rc.TYPE, 2);
      const seed = numbered(
        (code) => ofParameter(code, 2),
        () => recoverSecret(key, 'IDENTITY', message),
      );
      const credential = numbered(
        (code) => ofParameter(code, 1),
        () => unwrapCredential({ ...protectorOf(key), seed }, object.name, blob),
      );
      x.out.sized(credential);
    },
  ),
  command(
    Cc.EvictControl,
    'EvictControl',
    {
      handles: [{ kind: 'provision', role: 'user' }, { kind: 'object' }],
      parameters: [persistentHandle],
      nv: true,
    },
    evictControl,
  ),
  command(Cc.TestParms, 'TestParms', { parameters: [publicParameters] }, () => undefined),
];
