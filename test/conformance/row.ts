/** What a machine made of one case. 'absent': it does not have what the case is about, and says so. */
export type Verdict = 'pass' | 'fail' | 'absent' | 'not run';

/** One line of the comparison: a case that ran as the same machine code here and on Bochs, or here alone. */
export interface ConformanceRow {
  readonly group: string;
  readonly name: string;
  /** Rows of the tables that it is about: "exit.HLT", "control.primary.HLT_EXITING", "check.guest.rip.width" */
  readonly covers: readonly string[];
  /** SDM vol. 3 section */
  readonly section: string;
  readonly here: Verdict;
  readonly bochs: Verdict;
  /** What was found instead, where a machine failed */
  readonly hereDetail?: string;
  readonly bochsDetail?: string;
  /** Where the two differ: who is right, and by which section */
  readonly explanation?: string;
}
