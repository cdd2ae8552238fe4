import assert from 'node:assert/strict';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { Pin, Primary } from '../../emulator/arch/controls';
import { State } from '../../emulator/memory/layout';
import { GuestBench } from './guest-code';

const Activity = { ACTIVE: 0, HLT: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;
const Pending = { NMI: 1, INIT: 2, SIPI: 4 } as const;
const NOP_FOREVER = [0x90, 0xeb, 0xfd];

/** A guest that enters an activity state, with events pending. */
function guest(activity: number, pending = 0, vector = 0): GuestBench {
  const g = new GuestBench(NOP_FOREVER, (bench) => bench.set('GUEST_ACTIVITY_STATE', activity));
  g.bench.launch();
  assert.ok(g.bench.vmx.nonRoot, g.bench.failures.at(-1)?.rule);
  g.bench.state.set32(State.SIPI_VECTOR, vector);
  g.bench.state.set32(State.PENDING_EVENTS, pending);
  g.bench.cpu.run(100);
  return g;
}

const reason = (g: GuestBench): number => (g.bench.vmx.nonRoot ? -1 : Number(g.bench.get('EXIT_REASON')));

describe('activity states of a guest (SDM vol. 3, 25.4.2 and 26.2)', () => {
  it('a SIPI exits in the wait-for-SIPI state only, with its vector, and is lost elsewhere', () => {
    const waiting = guest(Activity.WAIT_FOR_SIPI, Pending.SIPI, 0x9a);
    assert.equal(reason(waiting), ExitReason.SIPI);
    assert.equal(waiting.bench.get('EXIT_QUALIFICATION'), 0x9an);
    assert.equal(waiting.bench.get('GUEST_ACTIVITY_STATE'), 3n);
    for (const activity of [Activity.ACTIVE, Activity.HLT, Activity.SHUTDOWN]) {
      const other = guest(activity, Pending.SIPI, 0x9a);
      assert.equal(reason(other), -1, `activity ${activity}`);
      assert.equal(other.bench.state.get32(State.PENDING_EVENTS), 0);
    }
  });

  it('INIT exits in every state but wait-for-SIPI, which blocks it and keeps it', () => {
    for (const activity of [Activity.ACTIVE, Activity.HLT, Activity.SHUTDOWN]) {
      const g = guest(activity, Pending.INIT);
      assert.equal(reason(g), ExitReason.INIT_SIGNAL, `activity ${activity}`);
      assert.equal(g.bench.get('GUEST_ACTIVITY_STATE'), BigInt(activity));
    }
    const waiting = guest(Activity.WAIT_FOR_SIPI, Pending.INIT);
    assert.equal(reason(waiting), -1);
    assert.equal(waiting.bench.state.get32(State.PENDING_EVENTS), Pending.INIT);
    assert.equal(waiting.bench.state.get32(State.ACTIVITY), Activity.WAIT_FOR_SIPI);
  });

  it('wait-for-SIPI executes nothing, and blocks NMIs and window exits', () => {
    const g = new GuestBench(NOP_FOREVER, (bench) => {
      bench.set('GUEST_ACTIVITY_STATE', Activity.WAIT_FOR_SIPI);
      bench.or('PIN_BASED_CONTROLS', Pin.NMI_EXITING | Pin.VIRTUAL_NMIS);
      bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.NMI_WINDOW_EXITING | Primary.INTERRUPT_WINDOW_EXITING);
    });
    g.bench.launch();
    g.bench.cpu.raiseNmi();
    assert.equal(g.bench.cpu.run(100).why, 'halted');
    assert.ok(g.bench.vmx.nonRoot);
  });

  it('the preemption timer ends HLT and shutdown; in wait-for-SIPI it expires without effect', () => {
    const timer = (activity: number): [number, string] => {
      const g = new GuestBench(NOP_FOREVER, (bench) => {
        bench.set('GUEST_ACTIVITY_STATE', activity);
        bench.or('PIN_BASED_CONTROLS', Pin.ACTIVATE_PREEMPTION_TIMER);
        bench.set('PREEMPTION_TIMER_VALUE', 10);
      });
      g.bench.launch();
      const { why } = g.bench.cpu.run(1000);
      return [reason(g), why];
    };
    assert.equal(timer(Activity.HLT)[0], ExitReason.PREEMPTION_TIMER);
    assert.equal(timer(Activity.SHUTDOWN)[0], ExitReason.PREEMPTION_TIMER);
    assert.deepEqual(timer(Activity.WAIT_FOR_SIPI), [-1, 'halted']);
  });

  it('window exits end HLT; the NMI window also ends shutdown, the interrupt window does not', () => {
    const window = (activity: number, control: number): number => {
      const g = new GuestBench(NOP_FOREVER, (bench) => {
        bench.set('GUEST_ACTIVITY_STATE', activity);
        bench.or('PIN_BASED_CONTROLS', Pin.NMI_EXITING | Pin.VIRTUAL_NMIS);
        bench.or('PRIMARY_PROCESSOR_CONTROLS', control);
      });
      g.bench.launch();
      g.bench.cpu.run(100);
      return reason(g);
    };
    assert.equal(window(Activity.HLT, Primary.NMI_WINDOW_EXITING), ExitReason.NMI_WINDOW);
    assert.equal(window(Activity.HLT, Primary.INTERRUPT_WINDOW_EXITING), ExitReason.INTERRUPT_WINDOW);
    assert.equal(window(Activity.SHUTDOWN, Primary.NMI_WINDOW_EXITING), ExitReason.NMI_WINDOW);
    assert.equal(window(Activity.SHUTDOWN, Primary.INTERRUPT_WINDOW_EXITING), -1);
  });

  it('no event can be injected into the wait-for-SIPI state', () => {
    for (const event of [0x8000_0030, 0x8000_0202, 0x8000_0312, 0x8000_0700]) {
      const g = new GuestBench(NOP_FOREVER, (bench) => {
        bench.set('GUEST_ACTIVITY_STATE', Activity.WAIT_FOR_SIPI);
        bench.set('ENTRY_INTERRUPTION_INFORMATION', event);
      });
      g.bench.launch();
      assert.equal(g.bench.failures.at(-1)?.check, 'guest.activity.event', event.toString(16));
    }
  });
});
