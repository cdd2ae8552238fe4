import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import type { Environment } from '../../debug-adapter/session/environment';
import { Client } from './client';
import { sample } from './sample';

type StackFrame = DebugProtocol.StackFrame;

/**
 * A debugging session told as a story: each call sends requests and writes what came back, in a form that people read
 * and that does not depend on addresses. `story(name, tell)` is a test that compares the telling with
 * test/golden/<name>.txt; UPDATE_GOLDEN=1 writes the file anew.
 */
export function story(name: string, tell: (session: Story) => Promise<void>): void {
  it(name, async () => {
    const session = new Story(nodeEnvironment);
    try {
      await tell(session);
    } finally {
      session.dispose();
    }
    const file = path.resolve('test/golden', `${name.replaceAll(/[^a-z0-9]+/gi, '-')}.txt`);
    const told = session.text();
    if (process.env.UPDATE_GOLDEN) {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, told);
      return;
    }
    assert.ok(existsSync(file), `${file} is missing: run with UPDATE_GOLDEN=1 and look at what it writes`);
    assert.equal(told, readFileSync(file, 'utf8'));
  }).timeout(120_000);
}

export class Story {
  readonly client: Client;
  private readonly lines: string[] = [];

  constructor(environment: Environment) {
    this.client = new Client(environment);
  }

  text(): string {
    return `${this.lines.join('\n')}\n`;
  }

  dispose(): void {
    this.client.dispose();
  }

  say(line: string): void {
    this.lines.push(normal(line));
  }

  /** initialize, launch, the breakpoints that `prepare` sets, configurationDone. */
  async launch(prepare: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.say('launch');
    await this.client.request('initialize', { adapterID: 'undervisor' });
    await this.client.request('launch', { program: sample() });
    await this.client.event('initialized');
    await prepare();
    await this.client.request('configurationDone');
  }

  /** Function breakpoints: "name" or "layer!name", with a condition behind " if ". */
  async breakAt(...functions: string[]): Promise<void> {
    const breakpoints = functions.map((text) => {
      const [name, condition] = text.split(' if ');
      return { name, ...(condition ? { condition } : {}) };
    });
    const body = await this.client.request<DebugProtocol.SetFunctionBreakpointsResponse['body']>(
      'setFunctionBreakpoints',
      { breakpoints },
    );
    body.breakpoints.forEach((b, index) => this.say(`break ${functions[index]}: ${b.verified ? 'set' : b.message}`));
  }

  /** A breakpoint on the first line of a sample's source that contains this text. */
  async breakAtLine(
    file: string,
    text: string,
    how: { condition?: string; hitCondition?: string; logMessage?: string } = {},
  ): Promise<void> {
    const source = path.join(sample(), file);
    const line =
      readFileSync(source, 'utf8')
        .split('\n')
        .findIndex((content) => content.includes(text)) + 1;
    assert.ok(line > 0, `${file} has no line with "${text}"`);
    const body = await this.client.request<DebugProtocol.SetBreakpointsResponse['body']>('setBreakpoints', {
      source: { path: source },
      breakpoints: [{ line, ...how }],
    });
    const [set] = body.breakpoints;
    const moved = set?.line === line ? '' : ` (line ${set?.line} for ${line})`;
    this.say(
      `break at "${text}"${Object.values(how)
        .map((v) => ` [${v}]`)
        .join('')}: ${set?.verified ? `set${moved}` : set?.message}`,
    );
  }

  /** What was written to the debug console since the last call, of these categories. */
  output(...categories: string[]): void {
    const events = this.client.events.slice(this.shown).filter(({ event }) => event === 'output');
    this.shown = this.client.events.length;
    for (const event of events) {
      const { category = 'console', output } = event.body as DebugProtocol.OutputEvent['body'];
      if (categories.includes(category)) this.say(`${category}: ${output.trimEnd()}`);
    }
  }
  private shown = 0;

  async breakOn(...filters: string[]): Promise<void> {
    await this.client.request('setExceptionBreakpoints', { filters });
    this.say(`break on ${filters.join(', ') || 'nothing'}`);
  }

  /** Sends a request that makes the machine run, and waits for the stop. */
  async run(command: string, args: { granularity?: string } = {}): Promise<void> {
    const detail = args.granularity ? ` by ${args.granularity}` : '';
    await this.client.request(command, { threadId: 1, ...args });
    await this.stopped(`${command}${detail}`);
  }

  /** Waits for the next stop or end and tells it with the place. */
  async stopped(after: string): Promise<void> {
    const event = await this.client.event('stopped', 'terminated');
    if (event.event === 'terminated') {
      this.say(`${after} -> terminated`);
      return;
    }
    const { reason, text } = event.body as DebugProtocol.StoppedEvent['body'];
    const [top] = await this.frames();
    this.say(`${after} -> ${reason}${text ? ` "${text}"` : ''} at ${top ? frameText(top) : 'nowhere'}`);
  }

  async frames(): Promise<StackFrame[]> {
    const body = await this.client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
    return body.stackFrames;
  }

  async stack(): Promise<void> {
    this.say('stack');
    for (const frame of await this.frames()) this.say(`  ${frameText(frame)}`);
  }

  /** The variables of a scope of the n-th real frame: all, or those whose names are given. */
  async scope(name: string, frameIndex = 0, only?: readonly string[]): Promise<void> {
    const frames = (await this.frames()).filter(({ presentationHint }) => presentationHint !== 'label');
    const body = await this.client.request<DebugProtocol.ScopesResponse['body']>('scopes', {
      frameId: frames[frameIndex]?.id,
    });
    const scope = body.scopes.find((candidate) => candidate.name === name);
    this.say(`${name} of ${frames[frameIndex]?.name}`);
    if (!scope) {
      this.say('  no such scope');
      return;
    }
    for (const variable of await this.children(scope.variablesReference)) {
      if (!only || only.includes(variable.name)) this.say(`  ${variable.name} = ${variable.value}`);
    }
  }

  async children(variablesReference: number): Promise<DebugProtocol.Variable[]> {
    const body = await this.client.request<DebugProtocol.VariablesResponse['body']>('variables', {
      variablesReference,
    });
    return body.variables;
  }

  async evaluate(expression: string, frameIndex = 0): Promise<void> {
    const frames = (await this.frames()).filter(({ presentationHint }) => presentationHint !== 'label');
    const response = await this.client.response('evaluate', { expression, frameId: frames[frameIndex]?.id });
    const body = response.body as DebugProtocol.EvaluateResponse['body'] | undefined;
    this.say(`${expression} = ${response.success ? body?.result : `error: ${response.message}`}`);
  }

  async request(command: string, args?: unknown): Promise<unknown> {
    const response = await this.client.response(command, args);
    if (!response.success) this.say(`${command}: error: ${response.message}`);
    return response.body;
  }
}

function frameText(frame: StackFrame): string {
  if (frame.presentationHint === 'label') return `--- ${frame.name}`;
  return `${frame.name}${frame.source ? `  ${frame.source.name}:${frame.line}` : ''}`;
}

/** Addresses, offsets in functions and ordinals change with the compiler: they are told as such. */
const normal = (text: string): string =>
  text
    .replaceAll(/0x[0-9a-f]{4,16}\b/g, '0x...')
    .replaceAll(/\+0x[0-9a-f]+\b/g, '+...')
    .replaceAll(/VM exit \d+ of/g, 'VM exit N of')
    .replaceAll(/\b(instruction|moment) \d{4,}/g, '$1 N');
