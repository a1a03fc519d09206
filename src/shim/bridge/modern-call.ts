// One request of a modern client in flight. Before a legacy child it translates; before a modern one it passes on. It
// ends with an answer, with a question to its client (input_required; the child goes on waiting), or with its client
// closing the connection, which cancels it.
import type { ServerResponse } from 'node:http';
import { monotonicMs } from '../../base/clock.ts';
import { answerJson, codes, errorText, isOpen, payloadText } from './answers.ts';
import { boundUnread, removeCall, tellCancelled } from './calls.ts';
import { type Document, textOf, wholeOf } from './document.ts';
import { modernCodes } from './envelope.ts';
import { isObject, type Json, stringIn } from './messages.ts';
import { canAnswer, failServerCall, failServerCalls } from './server-requests.ts';
import type {
  Call,
  Caller,
  Core,
  Envelope,
  ModernAnswer,
  ParkedCall,
  Question,
  ServerCall,
  Taker,
} from './state.ts';
import { eventText, openSse, writeSse } from './streams.ts';
import { modernAnswer, statusOf } from './translate.ts';
import { logLevels } from './wants.ts';
import { changed, changedParts } from './wire.ts';

/** Requests whose result may be a question. */
const askable = new Set(['tools/call', 'prompts/get', 'resources/read']);

export interface ModernCallOptions {
  readonly core: Core;
  readonly method: string;
  /** What the request is about (a tool's or prompt's name, a URI): a retry must be about the same. */
  readonly about: string;
  /** Called once per tick in which the child has asked something. */
  readonly onQuestions: (call: ModernCall) => void;
}

/** How long questions are gathered. People answer them: nobody notices. */
const gatherMs = 20;

export class ModernCall implements Taker, ParkedCall {
  readonly core: Core;
  readonly method: string;
  readonly about: string;
  /** The child's questions that no client has answered. */
  readonly questions: Question[] = [];
  call: Call | null = null;
  idText = '';
  progressToken: string | null = null;
  envelope: Envelope = { capabilities: {}, logLevel: null };
  /** When the client was told to come back; null while it is connected. */
  parkedMs: number | null = null;
  /** What the child said while nobody was there to hear it. */
  done: ModernAnswer | null = null;
  private readonly onQuestions: (call: ModernCall) => void;
  private response: ServerResponse | null = null;
  private missing: Json | null = null;
  private questionCount = 0;
  private gathering = false;

  constructor(options: ModernCallOptions) {
    this.core = options.core;
    this.method = options.method;
    this.about = options.about;
    this.onQuestions = options.onQuestions;
  }

  /** Binds the call to the connection of the request, or of its retry. */
  attach({ response, idText, progressToken, envelope }: Caller): void {
    this.response = response;
    this.idText = idText;
    this.progressToken = progressToken;
    this.envelope = envelope;
    this.parkedMs = null;
    response.once('close', () => {
      if (this.response === response) this.abandon('The client closed the connection');
    });
  }

  isParked(): boolean {
    return this.parkedMs !== null;
  }

  answer(call: Call, document: Document): void {
    removeCall(this.core, call);
    failServerCalls(this.core, (asked) => asked.call === call, 'The request has ended');
    const answer = this.inModernWords(document);
    if (this.response === null) this.done = answer;
    else this.reply(answer);
  }

  private inModernWords(document: Document): ModernAnswer {
    const message = document.value as Json;
    const result = message.result as Json | undefined;
    // The server wanted what this client cannot do, and did not manage without.
    if (this.missing !== null && (result === undefined || result === null || result.isError === true)) {
      const data = { requiredCapabilities: this.missing };
      const error = errorText(
        this.idText,
        modernCodes.missingCapability,
        'A client capability is missing',
        data,
      );
      return { status: 400, payload: error };
    }
    if (this.core.era === 'legacy') return modernAnswer(this.core, this.method, document, this.idText);
    const { code } = (message.error ?? {}) as Json;
    const changes = { id: this.idText };
    const parts = document.scan === null ? null : changedParts(document, changes);
    return { status: statusOf(code), payload: parts ?? changed(document, changes) };
  }

  /** Ends the HTTP answer. */
  reply(answer: ModernAnswer): void {
    const { response } = this;
    this.response = null;
    if (response === null || !isOpen(response)) return;
    if (!response.headersSent) {
      answerJson(response, answer.status, answer.payload);
      if (typeof answer.payload !== 'string') boundUnread(this.core, response);
    } else if (writeSse(this.core, response, eventText(payloadText(answer.payload)))) response.end();
  }

  notify(call: Call, document: Document): void {
    const message = document.value as Json;
    const params = message.params as Json | undefined;
    if (message.method === 'notifications/progress') {
      if (this.progressToken === null) return;
      this.say(changed(document, { progressToken: this.progressToken }));
    } else if (message.method === 'notifications/message') {
      const { logLevel } = this.envelope;
      if (logLevel !== null && logLevels.indexOf(String(params?.level)) >= logLevel)
        this.say(textOf(document));
    } else if (message.method === 'notifications/cancelled') {
      const wanted = JSON.stringify(params?.requestId);
      const at = this.questions.findIndex((question) => question.asked.childIdText === wanted);
      if (at !== -1) this.questions.splice(at, 1);
    }
    call.touchedMs = monotonicMs();
  }

  private say(text: string): void {
    if (this.response === null) return;
    openSse(this.response);
    writeSse(this.core, this.response, eventText(text));
  }

  ask(_call: Call, asked: ServerCall, document: Document): boolean {
    const message = wholeOf(document);
    if (!isObject(message)) return false;
    if (!canAnswer(this.envelope.capabilities, message)) {
      this.missing = { ...this.missing, ...capabilityFor(message) };
      return false;
    }
    if (!askable.has(this.method)) return false;
    this.questionCount += 1;
    const kind = String(message.method).split('/')[0];
    this.questions.push({ key: `${kind}_${this.questionCount}`, asked, request: questionOf(message) });
    if (!this.gathering) {
      this.gathering = true;
      // What the server asks in one go is asked of the client in one go; its lines may come in several reads.
      setTimeout(() => {
        this.gathering = false;
        if (this.response !== null && this.questions.length > 0) this.onQuestions(this);
      }, gatherMs);
    }
    return true;
  }

  /** Nobody wants the answer any more. */
  abandon(reason: string): void {
    this.response = null;
    const { call, core } = this;
    if (call === null || !removeCall(core, call)) return;
    for (const { asked } of this.questions.splice(0))
      failServerCall(core, asked, codes.internal, 'The client has left');
    tellCancelled(core, call, reason);
  }
}

/** The capability a request of the child needs, as the revision's error names it. */
function capabilityFor(message: Json): Json {
  if (message.method === 'roots/list') return { roots: {} };
  if (message.method === 'sampling/createMessage') return { sampling: {} };
  return { elicitation: stringIn(message.params, 'mode') === 'url' ? { url: {} } : {} };
}

/** A request of a legacy child as an input request: no id, and nothing the revision has dropped. */
function questionOf(message: Json): Json {
  if (message.params === undefined) return { method: message.method };
  const { _meta, task, elicitationId, ...params } = message.params as Json;
  return { method: message.method, params };
}
