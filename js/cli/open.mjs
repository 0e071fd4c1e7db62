// Opens an address in the user's browser.

import { spawn } from 'node:child_process';

const COMMANDS = { darwin: ['open'], win32: ['cmd', '/c', 'start', '""'] };

/** Without a browser or a desktop nothing happens: the address was printed. */
export function openBrowser(url) {
  const [command, ...args] = COMMANDS[process.platform] ?? ['xdg-open'];
  const child = spawn(command, [...args, url], { stdio: 'ignore', detached: true, windowsVerbatimArguments: true });
  child.on('error', () => {});
  child.unref();
}
