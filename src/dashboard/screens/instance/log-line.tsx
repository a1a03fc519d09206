// One line of a log in full: wrapped, with all that was said beside it.
import type { LogLineView } from '../../../api/contract.ts';
import { Button } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { localTime } from '../../components/time.tsx';
import { plainText } from './log-text.ts';

export function LogLine({ line, onClose }: { readonly line: LogLineView; readonly onClose: () => void }) {
  const message = plainText(line.message);
  return (
    <section class="log-whole" aria-label="The chosen line">
      <header>
        <p class="hint" aria-live="polite">
          {localTime(line.timestamp)} · {line.level} · {line.source} · line {line.seq}
        </p>
        <CopyButton text={message} what="line" />
        <Button kind="quiet" icon="close" label="Close the line" onClick={onClose} />
      </header>
      <pre>{message}</pre>
      {Object.keys(line.metadata).length > 0 && <pre>{JSON.stringify(line.metadata, null, 2)}</pre>}
    </section>
  );
}
