import { spawn } from 'node:child_process';
import * as vscode from 'vscode';

let output: vscode.OutputChannel | undefined;

/** Runs a build command in a folder, its output in the "Undervisor Build" channel. Resolves to whether it succeeded. */
export async function runBuild(command: string, folder: string): Promise<boolean> {
  output ??= vscode.window.createOutputChannel('Undervisor Build');
  const channel = output;
  channel.clear();
  channel.appendLine(`> ${command}`);
  const succeeded = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: 'Building the images', cancellable: true },
    (_progress, cancelled) =>
      new Promise<boolean>((resolve) => {
        const child = spawn(command, { cwd: folder, shell: true });
        child.stdout.on('data', (data: Buffer) => channel.append(data.toString()));
        child.stderr.on('data', (data: Buffer) => channel.append(data.toString()));
        child.on('error', (error) => channel.appendLine(error.message));
        child.on('close', (code) => resolve(code === 0));
        cancelled.onCancellationRequested(() => child.kill());
      }),
  );
  if (!succeeded) {
    const show = 'Show Output';
    void vscode.window.showErrorMessage(`The images could not be built: "${command}" failed.`, show).then((choice) => {
      if (choice === show) channel.show();
    });
  }
  return succeeded;
}
