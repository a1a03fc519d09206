// Examples for the OpenAPI document: what to send to each operation that needs a body, and what the ones asked most often
// answer. Data only; tests send the bodies, compare the answers field by field, and have a linter check both.

const id = '0197c5a2-6f3e-4c1b-9a70-2b8f5d1e4c33';
const userId = '7d4f0c7e-52e4-4b0e-8f0a-6f1b9a3c2d10';

const instance = {
  ...{ id, name: 'notes', mcp_type: 'memory', user_id: userId, status: 'running', stop_reason: null },
  ...{ health: 'healthy', error_message: null, exit_code: null },
  ...{ access_url: 'http://127.0.0.1:3001/mcp', assigned_port: 3001, process_id: 4711, node_id: 'a-machine' },
  queue_position: null,
  ...{ generation: 1, restarts: 0, isolation: 'L4', config: {}, stats: {} },
  ...{ created_at: '2031-05-01T10:00:00.000Z', started_at: '2031-05-01T10:00:00.020Z' },
  ...{ ready_at: '2031-05-01T10:00:00.310Z', stopped_at: null, last_accessed: null },
  ...{ expires_at: '2031-05-01T10:30:00.000Z', server_time: '2031-05-01T10:00:00.320Z' },
};
const meta = { next_cursor: null, server_time: '2031-05-01T10:00:05.000Z' };

const serverDocument = {
  name: 'com.example/weather',
  description: 'Tells the weather',
  version: '1.4.0',
  packages: [
    { registryType: 'npm', identifier: 'weather-mcp', version: '1.4.0', transport: { type: 'stdio' } },
  ],
  _meta: { 'dev.minimcp/type': { name: 'weather', script: 'dist/index.js', max_duration_minutes: 120 } },
};

/** A body for each operation that needs one, by operation id. */
export const bodyExamples: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  openSession: { login_code: 'mml_…' },
  createType: serverDocument,
  patchType: { is_active: false },
  createInstance: { mcp_type: 'memory', duration_minutes: 30, name: 'notes' },
  extendInstance: { duration_minutes: 60 },
  putApiKey: { api_key: 'the-secret-of-the-service', expires_at: '2099-12-31T00:00:00Z' },
  createApiToken: {
    name: 'ci',
    scopes: ['instances:read', 'instances:write'],
    expires_at: '2099-12-31T00:00:00Z',
  },
  createUser: { email: 'ada@example.com', name: 'Ada', max_instances: 5 },
  patchUser: { max_instances: 20 },
  putSetting: { value: 20 },
};

/** What operations answer, by operation id: the status and the body. */
export const answerExamples: Readonly<Record<string, readonly [status: number, body: unknown]>> = {
  createInstance: [
    201,
    { data: { ...instance, access_token: 'mcp_3xampl3T0k3nThatOpensThisInstanceAndNothing' } },
  ],
  getInstance: [200, { data: instance }],
  listInstances: [200, { data: [instance], meta }],
  extendInstance: [200, { data: { ...instance, expires_at: '2031-05-01T11:00:00.000Z' } }],
  listInstanceLogs: [
    200,
    {
      data: [
        {
          ...{ id: '0197c5a2-70aa-7000-8000-5b1f0c9d2e11', timestamp: '2031-05-01T10:00:00.280Z' },
          ...{ level: 'info', source: 'process', seq: 1, message: 'Server running on stdio', metadata: {} },
        },
      ],
      meta,
    },
  ],
  putApiKey: [
    200,
    {
      data: {
        ...{ mcp_type: 'github', key_hint: '…vice', expires_at: '2099-12-31T00:00:00.000Z' },
        ...{ created_at: '2031-05-01T10:00:00.000Z', updated_at: '2031-05-01T10:00:00.000Z' },
      },
    },
  ],
};

const refusal = 'duration_minutes must be a number from 0.1 to 60 for this type; got 0';

/** What a refusal looks like. */
export const problemExample = {
  type: 'urn:minimcp:error:invalid_field',
  title: 'A field was refused',
  status: 422,
  code: 'invalid_field',
  detail: refusal,
  errors: [{ pointer: '/duration_minutes', message: refusal }],
  request_id: 'req-4f1c',
};
