// The ports of each node as small cells: a colour, a shape and a letter for the state, so that no one of them has to be
// seen. One stop for Tab; arrows move, and what is chosen is told beside it.
import { useRef } from 'preact/hooks';
import type { PortView } from '../../../api/contract.ts';
import { idOf, letters, type PortState, stateOf } from './port-state.ts';

interface PortMapProps {
  readonly ports: readonly PortView[];
  readonly nowMs: number;
  readonly chosen: PortView | undefined;
  /** Only these are drawn in full; undefined: all. */
  readonly shown: PortState | undefined;
  readonly onChoose: (id: string) => void;
}

export function PortMap({ ports, ...rest }: PortMapProps) {
  const nodes = [...new Set(ports.map(({ node_id: node }) => node))];
  return (
    <div>
      {nodes.map((node) => (
        <NodeMap
          key={node}
          nodeId={node}
          isNamed={nodes.length > 1}
          ports={ports.filter(({ node_id: id }) => id === node)}
          {...rest}
        />
      ))}
    </div>
  );
}

interface NodeMapProps extends PortMapProps {
  readonly nodeId: string;
  readonly isNamed: boolean;
}

function NodeMap({ nodeId, isNamed, ports, nowMs, chosen, shown, onChoose }: NodeMapProps) {
  const grid = useRef<HTMLDivElement>(null);
  const at = Math.max(0, chosen === undefined ? 0 : ports.indexOf(chosen));
  const move = (event: KeyboardEvent): void => {
    const columns = columnsOf(grid.current);
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + columns,
      ArrowUp: at - columns,
      Home: 0,
      End: ports.length - 1,
    };
    const to = steps[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = ports[to];
    if (next === undefined) return;
    onChoose(idOf(next));
    grid.current?.querySelectorAll<HTMLElement>('[role="option"]')[to]?.focus();
  };
  const [first, last] = [ports[0]?.port, ports.at(-1)?.port];
  return (
    <>
      {isNamed && <h3>{nodeId}</h3>}
      <div
        ref={grid}
        class="port-map"
        role="listbox"
        tabIndex={-1}
        aria-label={`Ports ${first} to ${last} of ${nodeId}`}
        onKeyDown={move}
      >
        {ports.map((port, index) => {
          const state = stateOf(port, nowMs);
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the arrows of the list choose
            <div
              key={port.port}
              role="option"
              aria-selected={port === chosen}
              aria-label={`${port.port}, ${state}`}
              title={`${port.port}: ${state}`}
              tabIndex={index === at ? 0 : -1}
              class={`port is-${state} ${shown !== undefined && shown !== state ? 'dim' : ''}`}
              onClick={() => onChoose(idOf(port))}
              onFocus={() => port !== chosen && onChoose(idOf(port))}
            >
              {letters[state]}
            </div>
          );
        })}
      </div>
      <p class="hint">
        {first} to {last}, in reading order
      </p>
    </>
  );
}

function columnsOf(grid: HTMLElement | null): number {
  return grid === null ? 1 : getComputedStyle(grid).gridTemplateColumns.split(' ').length;
}
