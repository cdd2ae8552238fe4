import type { DebugProtocol } from '@vscode/debugprotocol';
import type {
  ExitsResponse,
  LayersResponse,
  PagesResponse,
  TranslateResponse,
} from '../../debug-adapter/protocol/requests';
import { story, type Story } from './story';

const launch = (session: Story, prepare?: () => Promise<void>) => session.launch(prepare);

describe('call stacks', () => {
  story('a call stack that crosses the layers', async (session) => {
    await launch(session, () => session.breakOn('exit:EPT_VIOLATION'));
    await session.stopped('start');
    await session.stack();
    const info = (await session.request('exceptionInfo', {
      threadId: 1,
    })) as DebugProtocol.ExceptionInfoResponse['body'];
    for (const line of info.description?.split('\n') ?? []) session.say(`  ${line}`);
    const { layers } = (await session.request('undervisor/layers')) as LayersResponse;
    for (const row of layers) {
      session.say(`${row.name}: ${row.root ? 'root' : `VMCS ${row.vmcs}`}, ${row.running ? 'runs' : row.lastLeft}`);
    }
  });

  story('a stack is given in pages', async (session) => {
    await launch(session, () => session.breakAt('vmm!vm_handle_exit'));
    await session.stopped('start');
    const all = await session.frames();
    for (const [startFrame, levels] of [
      [0, 1],
      [1, 2],
      [3, 0],
      [all.length, 5],
    ]) {
      const page = (await session.request('stackTrace', {
        threadId: 1,
        startFrame,
        levels,
      })) as DebugProtocol.StackTraceResponse['body'];
      const same = page.stackFrames.every((frame, index) => frame.id === all[(startFrame ?? 0) + index]?.id);
      session.say(`from ${startFrame}, ${levels} levels: ${page.stackFrames.map(({ name }) => name).join(', ')}`);
      session.say(`  total right: ${page.totalFrames === all.length}, ids stable: ${same}`);
    }
  });
});

describe('stepping', () => {
  story('from the guest through monitor and VMM and back', async (session) => {
    await launch(session, () => session.breakAt('guest!report_processor'));
    await session.stopped('start');
    await session.breakAt();
    await session.run('stepIn');
    await session.run('stepIn');
    await session.stack();
    await session.run('undervisor/continueToEntry');
    await session.run('stepOut');
    await session.stack();
    await session.run('stepIn');
    await session.run('stepIn');
    await session.run('undervisor/continueToExit');
    await session.run('undervisor/continueToEntry');
    await session.breakAt('guest!interrupts_init');
    await session.run('continue');
  });

  story('next passes what the layers below do', async (session) => {
    await launch(session, () => session.breakAt('guest!report_processor'));
    await session.stopped('start');
    await session.breakAt();
    for (let step = 0; step < 5; step++) await session.run('next');
    await session.run('stepOut');
    await session.stack();
  });

  story('by instruction', async (session) => {
    await launch(session, () => session.breakAt('guest!report_processor'));
    await session.stopped('start');
    await session.breakAt();
    for (let step = 0; step < 12; step++) await session.run('stepIn', { granularity: 'instruction' });
    for (let step = 0; step < 3; step++) await session.run('next', { granularity: 'instruction' });
  });

  story('a VMM over its VMLAUNCH', async (session) => {
    await launch(session, () => session.breakAtLine('vtx/enter.S', 'vmlaunch', { condition: '1' }));
    await session.stopped('start');
    await session.run('continue');
    await session.run('next');
    await session.run('stepOut');
  });

  story('out of the outermost function of a layer', async (session) => {
    await launch(session, () => session.breakAt('guest!guest_main'));
    await session.stopped('start');
    await session.breakAt();
    await session.breakOn('exit:CPUID');
    await session.run('continue');
    await session.breakOn();
    for (let step = 0; step < 3; step++) await session.run('stepOut');
    await session.run('undervisor/continueToExit');
    await session.breakAt('guest!interrupts_init');
    await session.run('continue');
  });
});

describe('breakpoints', () => {
  story('the same address in another layer does not stop', async (session) => {
    await launch(session, async () => {
      await session.breakAt('vmm!vm_enter', 'monitor!nothing_of_this_name', 'nowhere!vm_enter');
    });
    await session.stopped('start');
    await session.stack();
    await session.run('continue');
    await session.breakAt('monitor!vm_enter');
    await session.run('continue');
    await session.stack();
  });

  story('with conditions, hit counts and log messages', async (session) => {
    await launch(session, async () => {
      await session.breakAtLine('guest/main.c', 'wait_for_tick();', { logMessage: 'round {round}, digest {digest,x}' });
      await session.breakAt('guest!secret_stir if nonsense +');
    });
    await session.stopped('start');
    await session.breakAt('guest!secret_stir if 0', 'guest!secret_digest if 1');
    await session.run('continue');
    await session.breakAt();
    await session.breakAtLine('guest/main.c', 'wait_for_tick();', { condition: 'round == 3' });
    await session.run('continue');
    await session.evaluate('round');
    await session.breakAtLine('guest/main.c', 'wait_for_tick();', { hitCondition: '2' });
    await session.run('continue');
    await session.evaluate('round');
    session.output('console');
  });

  story('on a VM exit of each kind', async (session) => {
    await launch(session, () => session.breakOn('exit:VMXON', 'exit:VMLAUNCH', 'exit:HLT', 'exit:no such filter'));
    for (let stop = 0; stop < 4; stop++) await (stop === 0 ? session.stopped('start') : session.run('continue'));
    await session.breakOn('exit:any');
    for (let stop = 0; stop < 3; stop++) await session.run('continue');
  });

  story('stay over a restart', async (session) => {
    await launch(session, () => session.breakAt('guest!secret_create'));
    await session.stopped('start');
    await session.client.request('restart', {});
    await session.stopped('restart');
    await session.stack();
    await session.breakAt();
    await session.run('continue');
    session.output('important');
  });
});

describe('variables and memory', () => {
  story('locals, arguments and expressions of each layer', async (session) => {
    await launch(session, () => session.breakAt('monitor!page_set_owner'));
    await session.stopped('start');
    await session.scope('Arguments');
    await session.scope('Locals', 1);
    await session.breakAt('vmm!vm_handle_exit');
    await session.run('continue');
    await session.scope('Arguments', 1);
    await session.evaluate('*vm', 1);
    await session.evaluate('vm->nothing', 1);
    await session.evaluate('vm->launched ? 1 : 0', 1);
    await session.evaluate('sizeof(struct vm)', 1);
    await session.evaluate('timer_ticks + 1');
    await session.evaluate('$cr0,x');
    await session.scope('System Registers', 0, ['cr0', 'cr4', 'efer']);
    await session.breakAt('guest!secret_digest');
    await session.run('continue');
    await session.scope('Registers', 0, ['rflags']);
    await session.evaluate('secret_digest');
  });

  story('registers of callers are those that callees saved', async (session) => {
    await launch(session, () => session.breakAt('vmm!ept_map'));
    await session.stopped('start');
    const frames = await session.frames();
    const callers = frames.slice(
      0,
      frames.findIndex(({ presentationHint }) => presentationHint === 'label'),
    );
    for (const [index, frame] of callers.entries()) {
      const { scopes } = (await session.request('scopes', {
        frameId: frame.id,
      })) as DebugProtocol.ScopesResponse['body'];
      const rows = await session.children(scopes.find(({ name }) => name === 'Registers')?.variablesReference ?? 0);
      const rip = rows.find(({ name }) => name === 'rip')?.value;
      session.say(`${frame.name}: rip is the frame's: ${frame.instructionPointerReference?.endsWith(`:${rip}`)}`);
      await session.scope('Registers', index, ['rax', 'rbx']);
      await session.evaluate('$rsp > 0xffffffff80000000', index);
    }
  });

  story('a large array is shown in pages', async (session) => {
    await launch(session, () => session.breakAt('guest!hypercall'));
    await session.stopped('start');
    const [frame] = await session.frames();
    const array = (await session.request('evaluate', {
      expression: 'spare_page',
      frameId: frame?.id,
    })) as DebugProtocol.EvaluateResponse['body'];
    session.say(`${array.type}: ${array.indexedVariables} elements`);
    const page = async (args: object) => {
      const body = (await session.request('variables', { variablesReference: array.variablesReference, ...args })) as
        DebugProtocol.VariablesResponse['body'] | undefined;
      const rows = body?.variables ?? [];
      session.say(
        `${JSON.stringify(args)}: ${rows.length}, ${rows
          .slice(0, 2)
          .map((v) => `${v.name} = ${v.value}`)
          .join(', ')}`,
      );
    };
    await page({ filter: 'indexed', start: 4000, count: 3 });
    await page({ start: 4094, count: 100 });
    await page({ filter: 'named' });
    await page({});
    const element = (await session.request('setVariable', {
      variablesReference: array.variablesReference,
      name: '[4095]',
      value: '0x11 + 1',
    })) as DebugProtocol.SetVariableResponse['body'];
    session.say(`set: ${element?.value}`);
    await session.evaluate('spare_page[4095]');
  });

  story('the VMCS in words', async (session) => {
    await launch(session, () => session.breakOn('exit:EPT_VIOLATION'));
    await session.stopped('start');
    const [frame] = await session.frames();
    const { scopes } = (await session.request('scopes', {
      frameId: frame?.id,
    })) as DebugProtocol.ScopesResponse['body'];
    const vmcs = scopes.find(({ name }) => name === 'VMCS of guest');
    for (const group of await session.children(vmcs?.variablesReference ?? 0)) {
      session.say(group.name);
      for (const field of (await session.children(group.variablesReference)).slice(0, 12)) {
        session.say(`  ${field.name} = ${field.value}`);
      }
    }
  });

  story('one page seen through three address spaces', async (session) => {
    await launch(session, () => session.breakAt('guest!secret_digest'));
    await session.stopped('start');
    const [frame] = await session.frames();
    const reference = frame?.instructionPointerReference ?? '';
    const read = async (memoryReference: string) => {
      const body = (await session.request('readMemory', { memoryReference, count: 8 })) as { data?: string };
      return body.data;
    };
    const walk = (await session.request('undervisor/translate', { address: reference })) as TranslateResponse;
    session.say(`${walk.layer}: ${walk.steps.map(({ name, flags }) => `${name} (${flags.join(', ')})`).join('; ')}`);
    const context = /@\d+/.exec(reference)?.[0] ?? '';
    const linear = await read(reference);
    const guest = await read(`guest-physical${context}:${walk.guestPhysical}`);
    const host = await read(`host-physical:${walk.hostPhysical}`);
    session.say(`linear equals guest-physical: ${linear === guest}, equals host-physical: ${linear === host}`);
    session.say(`another context has something else there: ${(await read(`linear@0:${walk.linear}`)) !== linear}`);
    const none = (await session.request('readMemory', {
      memoryReference: '0xffff900000000000',
      count: 16,
    })) as DebugProtocol.ReadMemoryResponse['body'];
    session.say(`unmapped: ${none?.data ?? 'no data'}, ${none?.unreadableBytes} unreadable`);
  });

  story('disassembly has exactly the rows asked for', async (session) => {
    await launch(session, () => session.breakAt('guest!secret_digest'));
    await session.stopped('start');
    const [frame] = await session.frames();
    const rows = async (instructionOffset: number, instructionCount: number) => {
      const body = (await session.request('disassemble', {
        memoryReference: frame?.instructionPointerReference,
        instructionOffset,
        instructionCount,
      })) as DebugProtocol.DisassembleResponse['body'];
      return body?.instructions ?? [];
    };
    const all = await rows(-20, 40);
    const here = all.findIndex(({ address }) => frame?.instructionPointerReference?.endsWith(address));
    session.say(`${all.length} rows, the instruction pointer is row ${here}`);
    for (const [offset, count] of [
      [-20, 5],
      [-5, 10],
      [0, 1],
      [3, 7],
      [-3, 3],
    ] as const) {
      const part = await rows(offset, count);
      const same = part.every((row, index) => row.address === all[20 + offset + index]?.address);
      session.say(`${count} rows from ${offset}: ${part.length}, the same: ${same}`);
    }
    for (const row of all.slice(18, 24)) session.say(`${row.symbol ? `${row.symbol}: ` : ''}${row.instruction}`);
  });
});

describe('views', () => {
  story('exits and page decisions as they happened', async (session) => {
    await launch(session, () => session.breakAt('guest!secret_create'));
    await session.stopped('start');
    const exits = (await session.request('undervisor/exits', { start: 0, count: 5 })) as ExitsResponse;
    for (const row of exits.rows) session.say(`${row.n} ${row.layer} ${row.name} ${row.symbol} ${row.qualification}`);
    await session.breakAt();
    await session.run('continue');
    const pages = (await session.request('undervisor/pages', { start: 0, count: 1000 })) as PagesResponse;
    const kinds = [...new Set(pages.rows.map(({ decision, symbol }) => `${decision} by ${symbol}`))];
    for (const kind of kinds) session.say(kind);
    const encrypted = pages.rows.find(({ decision }) => decision === 'encrypted');
    const one = (await session.request('undervisor/pages', {
      start: 0,
      count: 100,
      hpa: encrypted?.hpa,
    })) as PagesResponse;
    session.say(`the life of one page: ${one.rows.map(({ decision }) => decision).join(', ')}`);
  });
});

describe('VM entry', () => {
  story('a refused VM entry names field, value and rule', async (session) => {
    await launch(session, async () => {
      await session.breakOn('entry:failed');
      await session.breakAt('monitor!vcpu_run');
    });
    await session.stopped('start');
    await session.breakAt();
    await session.breakAtLine('vtx/enter.S', 'vmlaunch');
    await session.run('continue');
    const [frame] = await session.frames();
    const { scopes } = (await session.request('scopes', {
      frameId: frame?.id,
    })) as DebugProtocol.ScopesResponse['body'];
    const vmcs = scopes.find(({ name }) => name.startsWith('VMCS'));
    session.say(`${vmcs?.name}`);
    const groups = await session.children(vmcs?.variablesReference ?? 0);
    const host = groups.find(({ name }) => name === 'Host state');
    const change = (value: string) =>
      session.request('setVariable', { variablesReference: host?.variablesReference, name: 'Host CS selector', value });
    session.say(JSON.stringify(await change('0xb')));
    await change('not a number');
    await session.breakAt();
    await session.run('continue');
    const info = (await session.request('exceptionInfo', {
      threadId: 1,
    })) as DebugProtocol.ExceptionInfoResponse['body'];
    for (const line of info.description?.split('\n') ?? []) session.say(`  ${line}`);
    await session.run('next');
    await session.evaluate('$rflags & 0x41');
  });
});
