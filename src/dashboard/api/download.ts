// Downloads what the API streams: the browser's own download, so that it may be of any size and is never held in memory.
import { urlOf } from './client.ts';

export function download(path: string): void {
  const link = document.createElement('a');
  link.href = urlOf(path);
  link.download = '';
  link.click();
}
