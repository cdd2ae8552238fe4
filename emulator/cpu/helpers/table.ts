import type { HelperTable } from '../processor';
import { cacheHelpers } from './caches';
import { controlRegisterHelpers } from './control-registers';
import { descriptorTableHelpers } from './descriptor-tables';
import { extendedStateHelpers } from './extended-state';
import { farTransferHelpers } from './far-transfers';
import { flagHelpers } from './flags';
import { interruptHelpers } from './interrupts';
import { modelSpecificHelpers } from './model-specific';
import { portHelpers } from './ports';
import { randomHelpers } from './random';
import { segmentHelpers } from './segments';
import { syscallHelpers } from './syscalls';
import { saferModeHelpers } from '../safer-mode/getsec';
import { waitingHelpers } from './waiting';

/** Everything outside VT-x that is not computation plus RAM, by the instruction rows' helper names. */
export const processorHelpers: HelperTable = {
  ...controlRegisterHelpers,
  ...descriptorTableHelpers,
  ...segmentHelpers,
  ...farTransferHelpers,
  ...interruptHelpers,
  ...flagHelpers,
  ...syscallHelpers,
  ...modelSpecificHelpers,
  ...portHelpers,
  ...randomHelpers,
  ...cacheHelpers,
  ...extendedStateHelpers,
  ...waitingHelpers,
  ...saferModeHelpers,
};
