// Uses every table of $DATABASE_URL as the web application does, and prints as JSON what worked and what did not.

import assert from "node:assert/strict";

import { PrismaPg } from "@prisma/adapter-pg";

import { $Enums, Prisma, PrismaClient } from "./client/index.js";
import { models, required } from "./models.mjs";

const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) });
const report = { models: Object.keys(Prisma.ModelName), passed: [], failed: {} };

async function check(name, work) {
  try {
    await work();
    report.passed.push(name);
  } catch (error) {
    report.failed[name] = error.stack;
  }
}

const delegateOf = (model) => prisma[model[0].toLowerCase() + model.slice(1)];
const make = (model, parents) => delegateOf(model).create({ data: required(model, parents) });
const refusedWith = (code, work) => assert.rejects(work, { name: "PrismaClientKnownRequestError", code });

async function makeParents() {
  const user = await make("User");
  const team = await make("Team");
  const workflow = await make("Workflow", { user: user.id });
  const model = await make("AIModel");
  return { user: user.id, team: team.id, workflow: workflow.id, model: model.id };
}

// Tables, one by one

const FILLED_IN = ["id", "createdAt", "updatedAt", "startedAt", "joinedAt"];
const MINUTE_MS = 60_000;

function expectJustMade(model, row, given) {
  const { defaults } = models[model];
  const fields = Object.keys(Prisma[`${model}ScalarFieldEnum`]);
  assert.deepEqual(Object.keys(row).sort(), [...fields].sort());
  for (const field of fields) {
    if (field in given) assert.deepEqual(row[field], given[field], field);
    else if (field === "id") assert.match(row.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    else if (FILLED_IN.includes(field)) assert.ok(Math.abs(Date.now() - row[field]) < MINUTE_MS, field);
    else assert.deepEqual(row[field], defaults[field] ?? null, field);
  }
}

async function expectRelations(model, id) {
  const relations = Object.entries(models[model].relations ?? {});
  if (!relations.length) return;
  const include = Object.fromEntries(relations.map(([name]) => [name, true]));
  const row = await delegateOf(model).findUniqueOrThrow({ where: { id }, include });
  for (const [name, { delegate, key }] of relations) {
    assert.deepEqual(row[name], await prisma[delegate].findUniqueOrThrow({ where: { id: row[key] } }), name);
  }
}

async function checkTable(model) {
  const delegate = delegateOf(model);
  const { every, change, changed } = models[model];
  const stored = (id) => delegate.findUnique({ where: { id } });
  let full;

  await check(`${model}: create with defaults`, async () => {
    const given = required(model, await makeParents());
    const made = await delegate.create({ data: given });
    expectJustMade(model, made, given);
    assert.deepEqual(await stored(made.id), made);
  });
  await check(`${model}: create with every field`, async () => {
    const given = every(await makeParents());
    const optional = Object.keys(Prisma[`${model}ScalarFieldEnum`]).filter((field) => field !== "id");
    assert.deepEqual(Object.keys(given).sort(), optional.sort());
    full = await delegate.create({ data: given });
    assert.deepEqual(full, { id: full.id, ...given });
    assert.deepEqual(await stored(full.id), full);
  });
  await check(`${model}: read with relations`, () => expectRelations(model, full.id));
  await check(`${model}: update`, async () => {
    const updated = await delegate.update({ where: { id: full.id }, data: change });
    const expected = { ...full, ...change, ...changed };
    if ("updatedAt" in full) {
      assert.ok(updated.updatedAt > full.updatedAt, "updatedAt moves");
      expected.updatedAt = updated.updatedAt;
    }
    assert.deepEqual(updated, expected);
    assert.deepEqual(await stored(full.id), expected);
  });
  await check(`${model}: delete`, async () => {
    await delegate.delete({ where: { id: full.id } });
    assert.equal(await stored(full.id), null);
    await refusedWith("P2025", delegate.delete({ where: { id: full.id } }));
  });
}

// Relations

const WHOLE_USER = {
  workflows: { include: { versions: true, executions: true, triggers: true, schedules: true, team: true } },
  executions: true,
  apiKeys: true,
  teams: { include: { team: { include: { members: true, workflows: true } } } },
  notifications: true,
  usageLogs: true,
};
const THEIRS = ["workflow", "workflowExecution", "apiKey", "teamMember", "notification", "usageLog"];
const THEIR_WORKFLOWS = ["workflowVersion", "workflowTrigger", "workflowSchedule"];

// One nested write, as `create` with relations sends it: the user, a team of theirs, and a workflow in that team.
async function makeWholeUser() {
  const part = (model) => {
    const { userId, workflowId, ...rest } = required(model, { user: "-", workflow: "-" });
    return { create: rest };
  };
  const user = await prisma.user.create({
    data: {
      ...required("User"),
      apiKeys: part("ApiKey"),
      notifications: part("Notification"),
      usageLogs: part("UsageLog"),
      teams: { create: { role: "OWNER", team: { create: required("Team") } } },
    },
    include: { teams: true },
  });
  await prisma.workflow.create({
    data: {
      name: "Mail",
      nodes: [],
      connections: [],
      user: { connect: { id: user.id } },
      team: { connect: { id: user.teams[0].teamId } },
      versions: part("WorkflowVersion"),
      triggers: part("WorkflowTrigger"),
      schedules: part("WorkflowSchedule"),
      executions: { create: { user: { connect: { id: user.id } } } },
    },
  });
  return prisma.user.findUniqueOrThrow({ where: { id: user.id }, include: WHOLE_USER });
}

async function counts(user) {
  const ofUser = THEIRS.map((name) => prisma[name].count({ where: { userId: user.id } }));
  const ofWorkflow = THEIR_WORKFLOWS.map((name) =>
    prisma[name].count({ where: { workflowId: user.workflows[0].id } }),
  );
  return Promise.all([...ofUser, ...ofWorkflow]);
}

async function checkRelations() {
  await check("relations: a nested write is read back whole", async () => {
    const user = await makeWholeUser();
    const [workflow] = user.workflows;
    const [{ team }] = user.teams;
    for (const list of ["versions", "executions", "triggers", "schedules"]) {
      assert.deepEqual(workflow[list].map((row) => row.workflowId), [workflow.id], list);
    }
    for (const list of ["executions", "apiKeys", "notifications", "usageLogs"]) {
      assert.deepEqual(user[list].map((row) => row.userId), [user.id], list);
    }
    assert.equal(workflow.team.id, team.id);
    assert.deepEqual(team.members.map((row) => [row.userId, row.role]), [[user.id, "OWNER"]]);
    assert.deepEqual(team.workflows.map((row) => row.id), [workflow.id]);
  });
  await check("relations: filters, orders, pages and counts go through them", async () => {
    const user = await makeWholeUser();
    await prisma.workflow.create({ data: { ...required("Workflow", { user: user.id }), name: "Other" } });
    const found = await prisma.workflow.findMany({
      where: { user: { email: user.email }, executions: { none: {} } },
      include: { _count: { select: { executions: true } } },
    });
    assert.deepEqual(found.map((row) => [row.name, row._count.executions]), [["Other", 0]]);
    const page = { where: { userId: user.id }, orderBy: { name: "desc" }, take: 1 };
    const [first] = await prisma.workflow.findMany(page);
    const [second] = await prisma.workflow.findMany({ ...page, cursor: { id: first.id }, skip: 1 });
    assert.deepEqual([first.name, second.name], ["Other", "Mail"]);
  });
  await check("relations: deleting a user takes what is theirs", async () => {
    const user = await makeWholeUser();
    assert.deepEqual(await counts(user), Array(9).fill(1));
    await prisma.user.delete({ where: { id: user.id } });
    assert.deepEqual(await counts(user), Array(9).fill(0));
  });
  await check("relations: deleting a workflow takes its parts", async () => {
    const user = await makeWholeUser();
    await prisma.workflow.delete({ where: { id: user.workflows[0].id } });
    assert.deepEqual(await counts(user), [0, 0, 1, 1, 1, 1, 0, 0, 0]);
  });
  await check("relations: deleting a team leaves its workflows without one", async () => {
    const user = await makeWholeUser();
    await prisma.team.delete({ where: { id: user.teams[0].teamId } });
    const after = await prisma.user.findUniqueOrThrow({ where: { id: user.id }, include: WHOLE_USER });
    assert.deepEqual(after.teams, []);
    assert.deepEqual(after.workflows.map((row) => row.teamId), [null]);
  });
  await check("relations: a model with conversations cannot be deleted", async () => {
    const model = await make("AIModel");
    const conversation = await make("AIConversation", { user: "u", model: model.id });
    const remove = () => prisma.aIModel.delete({ where: { id: model.id } });
    // PostgreSQL 18 tells RESTRICT (23001) from a broken reference (23503); Prisma has a code for each.
    await assert.rejects(remove, ({ code }) => code === "P2003" || code === "P2014");
    const read = await prisma.aIModel.findUniqueOrThrow({
      where: { id: model.id },
      include: { conversations: true },
    });
    assert.deepEqual(read.conversations, [conversation]);
    await prisma.aIConversation.delete({ where: { id: conversation.id } });
    await remove();
  });
  await check("relations: a new id is followed by what refers to it", async () => {
    const user = await makeWholeUser();
    const moved = await prisma.user.update({ where: { id: user.id }, data: { id: `${user.id}-moved` } });
    assert.deepEqual(await counts({ ...user, id: moved.id }), Array(9).fill(1));
  });
}

// Refusals and writes that depend on what is there

async function checkConstraints() {
  const twice = {
    "User.clerkId": ["User", (row) => ({ clerkId: row.clerkId })],
    "User.email": ["User", (row) => ({ email: row.email })],
    "User.username": ["User", (row) => ({ username: row.username })],
    "User.stripeCustomerId": ["User", (row) => ({ stripeCustomerId: row.stripeCustomerId })],
    "User.stripeSubscriptionId": ["User", (row) => ({ stripeSubscriptionId: row.stripeSubscriptionId })],
    "WorkflowVersion.workflowId, version": ["WorkflowVersion", (row) => ({ version: row.version })],
    "AIModel.provider, modelId": ["AIModel", (row) => ({ provider: row.provider, modelId: row.modelId })],
    "Team.slug": ["Team", (row) => ({ slug: row.slug })],
    "TeamMember.teamId, userId": ["TeamMember", () => ({})],
    "ApiKey.key": ["ApiKey", (row) => ({ key: row.key })],
  };
  for (const [name, [model, same]] of Object.entries(twice)) {
    await check(`unique: ${name}`, async () => {
      const parents = await makeParents();
      const first = await delegateOf(model).create({ data: models[model].every(parents) });
      const second = { ...required(model, parents), ...same(first) };
      await refusedWith("P2002", delegateOf(model).create({ data: second }));
    });
  }
  await check("references: a row cannot belong to what is not there", async () => {
    await refusedWith("P2003", make("Workflow", { user: "nobody" }));
    await refusedWith("P2003", make("AIConversation", { user: "u", model: "none" }));
  });
  await check("upsert: makes, then changes, by each kind of key", async () => {
    const { user, team, model } = await makeParents();
    const { clerkId } = await prisma.user.findUniqueOrThrow({ where: { id: user } });
    const { provider, modelId } = await prisma.aIModel.findUniqueOrThrow({ where: { id: model } });
    const named = await prisma.user.upsert({
      where: { clerkId },
      create: required("User"),
      update: { firstName: "Bo" },
    });
    assert.deepEqual([named.id, named.firstName], [user, "Bo"]);
    const off = await prisma.aIModel.upsert({
      where: { provider_modelId: { provider, modelId } },
      create: { ...required("AIModel"), provider, modelId },
      update: { isActive: false },
    });
    assert.deepEqual([off.id, off.isActive], [model, false]);
    for (const role of ["VIEWER", "ADMIN"]) {
      const member = await prisma.teamMember.upsert({
        where: { teamId_userId: { teamId: team, userId: user } },
        create: { teamId: team, userId: user, role },
        update: { role },
      });
      assert.equal(member.role, role);
    }
  });
  await check("transactions: what fails leaves nothing behind", async () => {
    const data = required("Team");
    const twice = [prisma.team.create({ data }), prisma.team.create({ data })];
    await refusedWith("P2002", prisma.$transaction(twice));
    const interactive = prisma.$transaction(async (tx) => {
      await tx.team.create({ data });
      throw new Error("changed my mind");
    });
    await assert.rejects(interactive, { message: "changed my mind" });
    assert.equal(await prisma.team.count({ where: data }), 0);
  });
}

// Values

async function checkValues() {
  const choices = [
    ["User", "subscriptionTier", "SubscriptionTier"],
    ["User", "subscriptionStatus", "SubscriptionStatus"],
    ["Workflow", "status", "WorkflowStatus"],
    ["WorkflowExecution", "status", "ExecutionStatus"],
    ["WorkflowTrigger", "type", "TriggerType"],
    ["AIModel", "provider", "AIProvider"],
    ["Team", "subscriptionTier", "SubscriptionTier"],
    ["TeamMember", "role", "TeamRole"],
    ["Notification", "type", "NotificationType"],
  ];
  for (const [model, field, name] of choices) {
    await check(`enums: every ${name} in ${model}.${field}`, async () => {
      const { id } = await make(model, await makeParents());
      // Backwards, so that OWNER comes last: a team that has an owner keeps one.
      for (const value of Object.keys($Enums[name]).reverse()) {
        await delegateOf(model).update({ where: { id }, data: { [field]: value } });
        assert.equal((await delegateOf(model).findFirst({ where: { id, [field]: value } }))[field], value);
      }
    });
  }
  await check("times: stored as UTC without a zone", async () => {
    const lastLoginAt = new Date("2024-07-01T23:30:00.001+05:45");
    const { id } = await prisma.user.create({ data: { ...required("User"), lastLoginAt } });
    const [row] = await prisma.$queryRaw`SELECT "lastLoginAt"::text AS text FROM "User" WHERE "id" = ${id}`;
    assert.equal(row.text, "2024-07-01 17:45:00.001");
    const between = { lte: lastLoginAt, gte: lastLoginAt };
    assert.equal(await prisma.user.count({ where: { id, lastLoginAt: between } }), 1);
  });
  await check("json: null in JSON is not NULL, and paths are found", async () => {
    const { id: userId } = await make("User");
    const documents = { json: Prisma.JsonNull, sql: Prisma.DbNull, deep: { a: { b: [1, 2] } } };
    for (const [title, metadata] of Object.entries(documents)) {
      await prisma.document.create({ data: { userId, title, content: "", metadata } });
    }
    const titles = async (metadata) => {
      const rows = await prisma.document.findMany({ where: { userId, metadata } });
      return rows.map((row) => row.title);
    };
    assert.deepEqual(await titles({ equals: Prisma.JsonNull }), ["json"]);
    assert.deepEqual(await titles({ equals: Prisma.DbNull }), ["sql"]);
    assert.deepEqual(await titles({ path: ["a", "b"], array_contains: [2] }), ["deep"]);
  });
  await check("lists: tags are found", async () => {
    const { id: userId } = await make("User");
    await prisma.workflow.create({ data: { ...required("Workflow", { user: userId }), tags: ["ü", "b"] } });
    const having = (tags) => prisma.workflow.count({ where: { userId, tags } });
    assert.equal(await having({ has: "ü" }), 1);
    assert.equal(await having({ hasSome: ["x", "b"] }), 1);
    assert.equal(await having({ has: "x" }), 0);
  });
  await check("counters: count beyond 32 bits, and at once", async () => {
    const { id } = await make("User");
    const add = () => prisma.user.update({ where: { id }, data: { storageUsed: { increment: 2n ** 31n } } });
    await Promise.all(Array.from({ length: 5 }, add));
    assert.equal((await prisma.user.findUniqueOrThrow({ where: { id } })).storageUsed, 5n * 2n ** 31n);
  });
}

// What the application's documents show

async function checkDocumented() {
  await check("documented: the seed", async () => {
    const config = { maxTokens: 2048, temperature: 0.7 };
    const seeded = await prisma.aIModel.createMany({
      data: [
        { name: "Gemini 1.5 Flash", provider: "GEMINI", modelId: "gemini-1.5-flash", config, isActive: true },
        { name: "Llama 3 70B", provider: "GROQ", modelId: "llama3-70b-8192", config, isActive: true },
      ],
      skipDuplicates: true,
    });
    assert.equal(seeded.count, 2);
    assert.equal((await prisma.template.createMany({ data: [required("Template"), required("Template")] })).count, 2);
  });
  await check("documented: the search by vector", async () => {
    const { id: userId } = await make("User");
    const { id: other } = await make("User");
    const towards = (degrees) => {
      const angle = (degrees * Math.PI) / 180;
      return JSON.stringify([Math.cos(angle), Math.sin(angle), ...Array(1534).fill(0)]);
    };
    const documents = [["far", userId, 90], ["near", userId, 30], ["theirs", other, 0], ["here", userId, 0]];
    for (const [title, owner, degrees] of documents) {
      const { id } = await prisma.document.create({ data: { userId: owner, title, content: title } });
      await prisma.$executeRaw`UPDATE "Document" SET "embedding" = ${towards(degrees)}::vector WHERE "id" = ${id}`;
    }
    const found = await prisma.$queryRaw`
      SELECT id, title, content, 1 - (embedding <=> ${towards(0)}::vector) AS similarity
      FROM "Document"
      WHERE "userId" = ${userId}
      ORDER BY similarity DESC
      LIMIT 10`;
    const similarities = found.map((row) => [row.title, Number(row.similarity.toFixed(6))]);
    assert.deepEqual(similarities, [["here", 1], ["near", 0.866025], ["far", 0]]);
    // The column is there for SQL alone: reading and changing the other columns leaves it as it is.
    await prisma.document.update({ where: { id: found[0].id }, data: { title: "still here" } });
    const [kept] = await prisma.$queryRaw`
      SELECT "embedding" = ${towards(0)}::vector AS same FROM "Document" WHERE "id" = ${found[0].id}`;
    assert.equal(kept.same, true);
  });
}

// What the database refuses beyond what the models say

async function checkRules() {
  await check("plans: the workflows a plan allows, also when made at once", async () => {
    const { id: user } = await make("User");
    const made = await Promise.allSettled(Array.from({ length: 8 }, () => make("Workflow", { user })));
    const refused = made.filter((result) => result.status === "rejected").map((result) => result.reason);
    assert.equal(refused.length, 3);
    for (const error of refused) assert.match(error.message, /DS402.*the plan allows no more workflows/s);
    const used = async () => (await prisma.user.findUniqueOrThrow({ where: { id: user } })).workflowsUsed;
    assert.equal(await prisma.workflow.count({ where: { userId: user } }), 5);
    assert.equal(await used(), 5);
    await prisma.user.update({ where: { id: user }, data: { subscriptionTier: "PRO" } });
    await make("Workflow", { user });
    assert.equal(await used(), 6);
    await prisma.workflow.deleteMany({ where: { userId: user } });
    assert.equal(await used(), 0);
  });
  await check("plans: executions are counted, and refused beyond the month's", async () => {
    const { user, workflow } = await makeParents();
    const run = () => make("WorkflowExecution", { user, workflow });
    await Promise.all(Array.from({ length: 5 }, run));
    const counted = await prisma.user.findUniqueOrThrow({ where: { id: user } });
    assert.equal(counted.executionsThisMonth, 5);
    await prisma.user.update({ where: { id: user }, data: { executionsThisMonth: 1000 } });
    await assert.rejects(run, /DS402.*the plan allows no more executions/s);
    assert.equal(await prisma.workflowExecution.count({ where: { workflowId: workflow } }), 5);
  });
  await check("teams: one with members has an owner, who may hand it over in either order", async () => {
    const { team, user } = await makeParents();
    const { id: other } = await make("User");
    const setRole = (userId, role, client = prisma) =>
      client.teamMember.update({ where: { teamId_userId: { teamId: team, userId } }, data: { role } });
    await prisma.teamMember.create({ data: { teamId: team, userId: user, role: "OWNER" } });
    await prisma.teamMember.create({ data: { teamId: team, userId: other } });
    await assert.rejects(setRole(user, "MEMBER"), /would have no owner/);
    await assert.rejects(prisma.user.delete({ where: { id: user } }), /would have no owner/);
    await prisma.$transaction([setRole(user, "MEMBER"), setRole(other, "OWNER")]);
    await prisma.$transaction(async (tx) => {
      await setRole(user, "OWNER", tx);
      await setRole(other, "MEMBER", tx);
    });
    const owners = await prisma.teamMember.findMany({ where: { teamId: team, role: "OWNER" } });
    assert.deepEqual(owners.map((row) => row.userId), [user]);
    await prisma.team.delete({ where: { id: team } });
  });
}

for (const model of Object.keys(models)) await checkTable(model);
await checkRelations();
await checkConstraints();
await checkValues();
await checkDocumented();
await checkRules();
await prisma.$disconnect();
console.log(JSON.stringify(report));
