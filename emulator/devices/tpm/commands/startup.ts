import { command, type CommandRow } from '../command';
import { Cc, Rc, Su } from '../constants';
import { fail, failParameter } from '../error';
import { algorithms, startupType, yesNo } from '../parameters';
import type { TpmState } from '../tpm-state';
import { TpmWriter } from '../buffer';

/** Startup and self tests: Part 3, clauses 9 and 10 */
export const startupCommands: readonly CommandRow[] = [
  command(
    Cc.Startup,
    'Startup',
    { parameters: [startupType], noSessions: true, nv: true },
    ({ tpm, locality }, type) => {
      if (locality !== 0 && locality !== 3) fail(Rc.LOCALITY);
      startup(tpm, type, locality);
    },
  ),
  command(Cc.Shutdown, 'Shutdown', { parameters: [startupType], nv: true }, ({ tpm }, type) => {
    tpm.shutdown = type;
  }),
  command(Cc.SelfTest, 'SelfTest', { parameters: [yesNo], nv: true }, () => undefined),
  // Every algorithm is always tested: nothing is left to do.
  command(Cc.IncrementalSelfTest, 'IncrementalSelfTest', { parameters: [algorithms], nv: true }, ({ out }) => {
    out.u32(0);
  }),
  command(Cc.GetTestResult, 'GetTestResult', { encrypts: true }, ({ tpm, out }) => {
    out.sized(new TpmWriter().finish()).u32(tpm.failed ? Rc.FAILURE : Rc.SUCCESS);
  }),
];

/** TPM Reset, Restart or Resume, by the last shutdown and this startup (Part 3, clause 9.3) */
function startup(tpm: TpmState, type: number, locality: number): void {
  const resumes = type === Su.STATE;
  const orderly = tpm.shutdown === Su.STATE;
  if (resumes && (!orderly || locality !== tpm.startupLocality)) failParameter(Rc.VALUE, 1);
  tpm.pcrs.startup(tpm.rootMeasured ? 4 : locality, resumes, tpm.rootMeasured);
  if (!resumes) tpm.hierarchies.startupClear();
  if (orderly) tpm.restartCount++;
  else {
    tpm.hierarchies.renewNull(tpm.drbg);
    tpm.resetCount++;
    tpm.restartCount = 0;
    tpm.sessions.clear();
  }
  tpm.nv.startup(!resumes);
  tpm.lockout.startup();
  tpm.startupLocality = locality;
  tpm.shutdown = -1;
  tpm.started = true;
}
