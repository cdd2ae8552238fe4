import { trimmed } from '../buffer';
import { command, type CommandRow, type Execution } from '../command';
import { Alg, Cc, Rc, Rh } from '../constants';
import { fail, failParameter } from '../error';
import { digestSize } from '../hash';
import { auth, digest, enables, hashAlgOrNull, u32, yesNo } from '../parameters';

/** Hierarchies' authorizations must not be longer than the digest of the context integrity hash. */
const LONGEST_AUTH = 32;

function control({ tpm, handles: [by = 0] }: Execution, handle: number, on: boolean): void {
  const isPlatform = by === (Rh.PLATFORM as number);
  // Each hierarchy may switch itself off; only the platform switches others, and back on.
  if (!isPlatform && (by !== handle || on)) fail(Rc.AUTH_TYPE);
  if (handle === (Rh.PLATFORM as number) && on) fail(Rc.AUTH_TYPE);
  tpm.hierarchies.get(handle).enabled = on;
  if (!on) tpm.objects.flushWhere((object) => object.kind === 'key' && object.hierarchy === handle);
}

function clear({ tpm }: Execution): void {
  if (tpm.hierarchies.clearDisabled) fail(Rc.DISABLED);
  const owners: readonly number[] = [Rh.OWNER, Rh.ENDORSEMENT];
  tpm.hierarchies.clearOwner(tpm.drbg);
  tpm.objects.flushWhere((object) => object.kind === 'key' && owners.includes(object.hierarchy));
  tpm.nv.clearOwner((object) => owners.includes(object.hierarchy));
  tpm.lockout.defaults();
  tpm.resetCount = 0;
  tpm.restartCount = 0;
  tpm.clearCount++;
}

/** Part 3, clauses 24 and 25 */
export const hierarchyCommands: readonly CommandRow[] = [
  command(
    Cc.HierarchyControl,
    'HierarchyControl',
    { handles: [{ kind: 'hierarchy', role: 'user' }], parameters: [enables, yesNo], nv: true, extensive: true },
    control,
  ),
  command(
    Cc.SetPrimaryPolicy,
    'SetPrimaryPolicy',
    { handles: [{ kind: 'hierarchy or lockout', role: 'user' }], parameters: [digest, hashAlgOrNull], nv: true },
    ({ tpm, handles: [handle = 0] }, policy, alg) => {
      if (policy.length !== (alg === (Alg.NULL as number) ? 0 : digestSize(alg))) failParameter(Rc.SIZE, 1);
      const hierarchy = tpm.hierarchies.get(handle);
      hierarchy.policy = policy;
      hierarchy.policyAlg = alg;
    },
  ),
  command(
    Cc.HierarchyChangeAuth,
    'HierarchyChangeAuth',
    { handles: [{ kind: 'hierarchy or lockout', role: 'user' }], parameters: [auth], nv: true },
    ({ tpm, handles: [handle = 0] }, value) => {
      const short = trimmed(value);
      if (short.length > LONGEST_AUTH) failParameter(Rc.SIZE, 1);
      tpm.hierarchies.get(handle).auth = short;
    },
  ),
  command(Cc.Clear, 'Clear', { handles: [{ kind: 'clear', role: 'user' }], nv: true, extensive: true }, clear),
  command(
    Cc.ClearControl,
    'ClearControl',
    { handles: [{ kind: 'clear', role: 'user' }], parameters: [yesNo], nv: true },
    ({ tpm, handles: [by = 0] }, disable) => {
      if (by === (Rh.LOCKOUT as number) && !disable) fail(Rc.AUTH_FAIL);
      tpm.hierarchies.clearDisabled = disable;
    },
  ),
  command(
    Cc.DictionaryAttackLockReset,
    'DictionaryAttackLockReset',
    { handles: [{ kind: 'lockout', role: 'user' }], nv: true },
    ({ tpm }) => tpm.lockout.reset(),
  ),
  command(
    Cc.DictionaryAttackParameters,
    'DictionaryAttackParameters',
    { handles: [{ kind: 'lockout', role: 'user' }], parameters: [u32, u32, u32], nv: true },
    ({ tpm: { lockout } }, tries, recovery, lockoutRecovery) => {
      lockout.maxTries = tries;
      lockout.recoveryTime = recovery;
      lockout.lockoutRecovery = lockoutRecovery;
      lockout.failedTries = Math.min(lockout.failedTries, tries);
    },
  ),
];
