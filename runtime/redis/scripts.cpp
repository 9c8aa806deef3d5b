#include "runtime/redis/scripts.hpp"

#include <algorithm>
#include <array>
#include <openssl/evp.h>

namespace weir::redis {
namespace {

// A script is not rolled back when it fails in the middle, so all that can fail is looked at before the first write:
// the chain, the positions, the type of every key, the ids of stream entries. What Redis itself refuses (OOM, READONLY,
// MISCONF) it refuses at the first write, never later. Numbers are written with %.0f: tostring() and .. lose the last
// digits of a version.
//
// ARGV: 1 epoch, 2 id, 3 follows, 4 hint, 5 versions reserved, 6 new stream epoch or "", 7 mark or "", 8 positions,
// 9 tables, 10 half of the change log's bound, 11 place of a job's hash in KEYS (0: none), 12 the scheduler's token, 13
// execution, 14 chunk; then position moves (field, expected, next); then by table a block of
// 17:
//   +0 table, +1 expiry key, +2 change log key, +3 log key (places in KEYS, 0: none), +4 log records, +5 oldest time,
//   +6 newest time, +7 first offset, +8 last offset, +9 packed lines, +10 trim below or "", +11 records trimmed, +12
//   expire up to or "", +13 packed keys, +14 buckets, +15 expiry index pairs, +16 rows to expire
// and behind it: by bucket (key's place, puts, removals, then puts as key value ..., then removals as keys); index
// pairs (score, key); rows to expire (bucket key's place, key, number of the row).
constexpr std::string_view apply_text = R"lua(
local K, A = KEYS, ARGV
local head = K[1]
local function num(x) return string.format('%.0f', x) end
local h = redis.call('HMGET', head, 'epoch', 'batch', 'last', 'stream', 'prev', 'kept')
local stored, stream = h[3] or '0', h[4] or ''
if h[1] ~= A[1] then return {'fenced', stored, stored, stream, '', ''} end
if h[2] == A[2] then return {'already', stored, stored, stream, h[5] or '', h[6] or ''} end
if (h[2] or '0.0') ~= A[3] then return {'mismatch', stored, stored, stream, '', ''} end

local job = K[tonumber(A[11])]
if job then
  local j = redis.call('HMGET', job, 'token', 'id', 'status', 'chunks')
  if tonumber(j[1] or '0') > tonumber(A[12]) or j[2] ~= A[13] or (j[3] ~= 'STARTED' and j[3] ~= 'STOPPING')
    or (j[4] or '0') ~= A[14] then
    return {'outdated', stored, stored, stream, '', ''}
  end
end

local set, at = {}, 15
local function put(field, value) set[#set + 1] = field; set[#set + 1] = value end
for _ = 1, tonumber(A[8]) do
  if (redis.call('HGET', head, A[at]) or '-1') ~= A[at + 1] then return {'mismatch', stored, stored, stream, '', ''} end
  put(A[at], A[at + 2])
  at = at + 3
end

local t = redis.call('TIME')
local n = tonumber(A[5])
local first = math.max(tonumber(stored) + 1, t[1] * 1000000 + t[2], tonumber(A[4]))
local last = first + (n - 1) -- in this order: first + n may be beyond 2^53 and rounded
if last >= 9007199254740992 then return {err = 'WEIRVERSION a version beyond 2^53 was asked for'} end
local firsts, lasts = num(first), num(last)

local function fits(place, wanted)
  local is = redis.call('TYPE', K[place])['ok']
  if is ~= 'none' and is ~= wanted then
    return nil, {err = 'WRONGTYPE ' .. K[place] .. ' is a ' .. is .. ', not a ' .. wanted}
  end
  return is
end
local starts, indexed = {}, {}
local tables = tonumber(A[9])
for i = 1, tables do
  starts[i] = at
  local x, c, l = tonumber(A[at + 1]), tonumber(A[at + 2]), tonumber(A[at + 3])
  if x > 0 then
    local is, bad = fits(x, 'zset')
    if bad then return bad end
    indexed[i] = is == 'zset'
  end
  for _, s in ipairs({c, l}) do
    if s > 0 then
      local _, bad = fits(s, 'stream')
      if bad then return bad end
      if #redis.call('XRANGE', K[s], firsts .. '-0', '+', 'COUNT', 1) > 0 then
        return {err = 'WEIRSTREAM ' .. K[s] .. ' has an entry beyond the stored version'}
      end
    end
  end
  local b, pairs_, expire = tonumber(A[at + 14]), tonumber(A[at + 15]), tonumber(A[at + 16])
  at = at + 17
  for _ = 1, b do
    local _, bad = fits(tonumber(A[at]), 'hash')
    if bad then return bad end
    at = at + 3 + 2 * tonumber(A[at + 1]) + tonumber(A[at + 2])
  end
  at = at + 2 * pairs_
  for _ = 1, expire do
    local _, bad = fits(tonumber(A[at]), 'hash')
    if bad then return bad end
    at = at + 3
  end
end
if at ~= #A + 1 then return {err = 'WEIRARGS malformed transaction'} end

local function each(command, key, from, to, list)
  while from <= to do
    local e = math.min(from + 1999, to)
    redis.call(command, key, unpack(list, from, e))
    from = e + 1
  end
end
local prev, kept = {}, {}
for i = 1, tables do
  local o = starts[i]
  local name = A[o]
  local x, c, l = K[tonumber(A[o + 1])], K[tonumber(A[o + 2])], K[tonumber(A[o + 3])]
  local was = redis.call('HGET', head, 'v:' .. name) or '0'
  prev[i] = was
  put('v:' .. name, lasts)

  local records, trimmed = tonumber(A[o + 4]), tonumber(A[o + 11])
  if l then
    if A[o + 10] ~= '' then redis.call('XTRIM', l, 'MINID', A[o + 10] .. '-0') end
    if records > 0 then
      redis.call('XADD', l, firsts .. '-0', 'n', A[o + 4], 't0', A[o + 5], 't1', A[o + 6],
                 'o0', A[o + 7], 'o1', A[o + 8], 'd', A[o + 9])
    end
    local had = tonumber(redis.call('HGET', head, 'n:' .. name) or '0')
    put('n:' .. name, num(math.max(0, had + records - trimmed)))
  end

  local packed, expire = A[o + 13], tonumber(A[o + 16])
  local ttl = tonumber(A[o + 15]) > 0
  local p = o + 17
  for _ = 1, tonumber(A[o + 14]) do
    local key, puts, removals = K[tonumber(A[p])], tonumber(A[p + 1]), tonumber(A[p + 2])
    local q = p + 3
    local r = q + 2 * puts
    each('HSET', key, q, r - 1, A)
    each('HDEL', key, r, r + removals - 1, A)
    if indexed[i] then
      each('ZREM', x, r, r + removals - 1, A)
      if puts > 0 and not ttl then
        local keys = {}
        for j = q, r - 1, 2 do keys[#keys + 1] = A[j] end
        each('ZREM', x, 1, #keys, keys)
      end
    end
    p = r + removals
  end
  if ttl then each('ZADD', x, p, p + 2 * tonumber(A[o + 15]) - 1, A) end
  p = p + 2 * tonumber(A[o + 15])
  if expire > 0 then
    local limit = tonumber(A[o + 12])
    local gone = {}
    for _ = 1, expire do
      local score = redis.call('ZSCORE', x, A[p + 1])
      if score and tonumber(score) <= limit then
        redis.call('HDEL', K[tonumber(A[p])], A[p + 1])
        redis.call('ZREM', x, A[p + 1])
        gone[#gone + 1] = #A[p + 1] .. ':' .. A[p + 1]
      else
        kept[#kept + 1] = (i - 1) .. ':' .. A[p + 2]
      end
      p = p + 3
    end
    packed = packed .. table.concat(gone)
  end
  if packed ~= '' then
    redis.call('XADD', c, lasts .. '-0', 'p', was, 'k', packed)
    local bytes, mark = string.match(redis.call('HGET', head, 'c:' .. name) or '', '^(%d+) (%d+)$')
    bytes = tonumber(bytes or '0') + #packed + 64
    if bytes > tonumber(A[10]) then
      redis.call('XTRIM', c, 'MINID', (mark or '0') .. '-0')
      bytes, mark = #packed + 64, lasts
    end
    put('c:' .. name, num(bytes) .. ' ' .. (mark or '0'))
  end
end

if A[6] ~= '' then stream = A[6]; put('stream', stream) end
if A[7] ~= '' then put('mark', A[7]) end
local prevs, kepts = table.concat(prev, ' '), table.concat(kept, ',')
put('prev', prevs); put('kept', kepts)
put('last', lasts); put('batch', A[2])
each('HSET', head, 1, #set, set)
if job then redis.call('HSET', job, 'chunks', num(tonumber(A[14]) + 1)) end
return {'applied', firsts, lasts, stream, prevs, kepts}
)lua";

// ARGV: owner, generation, hint, random part of a stream epoch, run id of the server.
constexpr std::string_view claim_text = R"lua(
local head = KEYS[1]
local function num(x) return string.format('%.0f', x) end
if redis.acl_check_cmd then
  local p = KEYS[1]
  for _, c in ipairs({{'HSET', p, 'a', 'b'}, {'HDEL', p, 'a'}, {'HMGET', p, 'a'}, {'HGET', p, 'a'}, {'HGETALL', p},
                      {'HSETNX', p, 'a', 'b'}, {'TYPE', p}, {'UNLINK', p}, {'ZADD', p, '1', 'a'}, {'ZREM', p, 'a'},
                      {'ZSCORE', p, 'a'}, {'ZRANGE', p, '0', '1'}, {'ZREVRANGE', p, '0', '1'},
                      {'ZRANGEBYSCORE', p, '0', '1'}, {'TIME'}, {'XADD', p, '*', 'a', 'b'}, {'XRANGE', p, '-', '+'},
                      {'XTRIM', p, 'MINID', '0'}}) do
    if not redis.acl_check_cmd(unpack(c)) then
      return {err = 'NOPERM this user has no permission to run ' .. c[1] .. ' on ' .. p}
    end
  end
end
local h = redis.call('HMGET', head, 'epoch', 'owner', 'gen', 'last', 'stream', 'run_id')
local t = redis.call('TIME')
local us = t[1] * 1000000 + t[2]
local epoch, last, gen = tonumber(h[1] or '0'), tonumber(h[4] or '0'), tonumber(ARGV[2])
local hint = tonumber(ARGV[3])
if hint >= 9007199254740992 then return {err = 'WEIRVERSION a version beyond 2^53 was asked for'} end
if gen >= 0 and tonumber(h[3] or '-1') > gen and h[2] ~= ARGV[1] and us - math.max(epoch, last) < 120000000 then
  return {'fenced', h[2] or '', h[3]}
end
local fresh = not h[1]
local moved = not fresh and (h[6] or '') ~= '' and ARGV[5] ~= '' and h[6] ~= ARGV[5]
local changed = moved and h[2] ~= ARGV[1]
local set = {'epoch', num(math.max(epoch + 1, us)), 'owner', ARGV[1], 'gen', ARGV[2],
             'last', num(math.max(last, us, hint))}
-- An owner that claims again knows what it lost; the old run id stays for the next owner to see. Transactions do not
-- store it: one that an earlier owner still had on its way may be applied on top of a state that went back.
if not moved or changed then set[#set + 1] = 'run_id'; set[#set + 1] = ARGV[5] end
if fresh or changed then
  local old = tonumber(string.match(h[5] or '', '^(%d+)-') or '0')
  set[#set + 1] = 'stream'
  set[#set + 1] = string.format('%016.0f', math.max(us, old + 1)) .. '-' .. ARGV[4]
end
if fresh then set[#set + 1] = 'batch'; set[#set + 1] = '0.0' end
redis.call('HSET', head, unpack(set))
return {'ok', fresh and '1' or '0', redis.call('HGETALL', head), changed and '1' or '0'}
)lua";

// KEYS: head, change log. ARGV: field of the table's version, id to start at. Gives the floor and the entries.
constexpr std::string_view changes_text = R"lua(
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if not oldest then return {redis.call('HGET', KEYS[1], ARGV[1]) or '0', {}} end
local floor = '0'
for i = 1, #oldest[2], 2 do
  if oldest[2][i] == 'p' then floor = oldest[2][i + 1] end
end
return {floor, redis.call('XRANGE', KEYS[2], ARGV[2], '+')}
)lua";

// KEYS: log. ARGV: most, bytes to look at. Gives id, n, t0, t1 of the oldest entries without sending their records.
constexpr std::string_view log_heads_text = R"lua(
local out, most, left, from = {}, tonumber(ARGV[1]), tonumber(ARGV[2]), '-'
while #out < most * 4 and left > 0 do
  local part = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 16)
  if #part == 0 then break end
  for _, e in ipairs(part) do
    if #out >= most * 4 then break end
    local f = {}
    for i = 1, #e[2], 2 do
      f[e[2][i]] = e[2][i + 1]
      left = left - #e[2][i + 1]
    end
    out[#out + 1] = e[1]; out[#out + 1] = f.n or '0'; out[#out + 1] = f.t0 or '0'; out[#out + 1] = f.t1 or '0'
    from = '(' .. e[1]
  end
end
return out
)lua";

constexpr std::string_view meta_once_text = R"lua(
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1])
)lua";

constexpr std::string_view meta_swap_text = R"lua(
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
)lua";

// ARGV: owner, milliseconds to hold, 'take' or 'drop', a token that is too low. A new token is greater than all before
// it also where the hash was lost: the clock is in it.
constexpr std::string_view lease_text = R"lua(
local h = redis.call('HMGET', KEYS[1], 'owner', 'token', 'until')
local t = redis.call('TIME')
local us = t[1] * 1000000 + t[2]
local now = math.floor(us / 1000)
local function num(x) return string.format('%.0f', x) end
local token, left = tonumber(h[2] or '0'), tonumber(h[3] or '0') - now
-- Redis' clock went back: nobody holds a lease for so long.
if left > 10 * tonumber(ARGV[2]) then left = 0 end
if ARGV[3] == 'drop' then
  if h[1] == ARGV[1] then redis.call('HSET', KEYS[1], 'until', '0') end
  return {0, num(token), h[1] or '', '0'}
end
if left > 0 and h[1] ~= ARGV[1] then return {0, num(token), h[1], num(left)} end
local low = tonumber(ARGV[4])
if left <= 0 or token <= low then token = math.max(token + 1, us, low + 1) end
if token >= 9007199254740992 then return {err = 'WEIRVERSION a token beyond 2^53 was asked for'} end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', num(token), 'until', num(now + tonumber(ARGV[2])))
return {1, num(token), ARGV[1], ARGV[2]}
)lua";

// KEYS: job, checkpoints. ARGV: token.
constexpr std::string_view adopt_text = R"lua(
local J, K = KEYS[1], KEYS[2]
if tonumber(redis.call('HGET', J, 'token') or '0') > tonumber(ARGV[1]) then
  return {'fenced', redis.call('HGETALL', J), {}}
end
local is = redis.call('TYPE', K)['ok']
if is ~= 'none' and is ~= 'hash' then return {err = 'WRONGTYPE ' .. K .. ' is a ' .. is .. ', not a hash'} end
redis.call('HSET', J, 'token', ARGV[1])
return {'done', redis.call('HGETALL', J), redis.call('HGETALL', K)}
)lua";

// KEYS: job, checkpoints, history, order of the history. ARGV: 1 token, 2 id, 3 expected statuses (",A,B,") or "" where
// it begins, 4 fire time, 5 whether it begins again, 6 status, 7 run, 8 share or "", 9 its checkpoint, 10 whether it
// ends, 11 whether checkpoints stay, 12 executions kept, 13 kept since, 14 ended at
constexpr std::string_view change_text = R"lua(
local J, K, H, Z, A = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV
local j = redis.call('HMGET', J, 'token', 'id', 'status', 'fire')
local function refuse(why) return {why, redis.call('HGETALL', J)} end
if tonumber(j[1] or '0') > tonumber(A[1]) then return refuse('fenced') end
local open = j[3] == 'STARTING' or j[3] == 'STARTED' or j[3] == 'STOPPING'
for i, wanted in ipairs({'hash', 'hash', 'hash', 'zset'}) do
  local is = redis.call('TYPE', KEYS[i])['ok']
  if is ~= 'none' and is ~= wanted then return {err = 'WRONGTYPE ' .. KEYS[i] .. ' is a ' .. is .. ', not a ' .. wanted} end
end
if A[3] == '' then
  if j[2] == A[2] then return refuse('already') end
  if open then return refuse('busy') end
  local newest = tonumber(j[4] or '-1')
  if A[5] == '1' then
    if newest ~= tonumber(A[4]) or (j[3] ~= 'FAILED' and j[3] ~= 'STOPPED') then return refuse('mismatch') end
  elseif newest >= tonumber(A[4]) then
    return refuse('old')
  else
    redis.call('UNLINK', K)
  end
  if A[5] ~= '1' then redis.call('HSET', J, 'chunks', '0') end
  redis.call('HSET', J, 'id', A[2], 'fire', A[4])
else
  if j[2] ~= A[2] or not string.find(A[3], ',' .. (j[3] or '') .. ',', 1, true) then return refuse('mismatch') end
end
redis.call('HSET', J, 'token', A[1], 'status', A[6], 'run', A[7])
if A[8] ~= '' then
  if A[9] == '' then redis.call('HDEL', K, A[8]) else redis.call('HSET', K, A[8], A[9]) end
end
if A[10] == '1' then
  if A[11] ~= '1' then redis.call('UNLINK', K) end
  redis.call('HSET', H, A[2], A[7])
  redis.call('ZADD', Z, A[14], A[2])
  local gone = redis.call('ZRANGE', Z, 0, -(tonumber(A[12]) + 1))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', Z, '-inf', '(' .. A[13])) do gone[#gone + 1] = id end
  for _, id in ipairs(gone) do
    redis.call('HDEL', H, id)
    redis.call('ZREM', Z, id)
  end
end
return {'done', {}}
)lua";

// KEYS: history, its order. ARGV: most. Newest first.
constexpr std::string_view history_text = R"lua(
local out = {}
if ARGV[1] == '0' then return out end
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1)) do
  local run = redis.call('HGET', KEYS[1], id)
  if run then out[#out + 1] = run end
end
return out
)lua";

std::string sha1_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::string out;
  constexpr std::string_view digits = "0123456789abcdef";
  for (unsigned i = 0; i < size; ++i) {
    out.push_back(digits[digest[i] >> 4]);
    out.push_back(digits[digest[i] & 15]);
  }
  return out;
}

} // namespace

script::script(std::string_view n, std::string_view t) : name(n), text(t), sha(sha1_hex(t)) {}

namespace {

std::span<script> scripts() {
  static std::array<script, 10> list{script{"apply", apply_text},         script{"claim", claim_text},
                                     script{"changes", changes_text},     script{"log_heads", log_heads_text},
                                     script{"meta_once", meta_once_text}, script{"meta_swap", meta_swap_text},
                                     script{"lease", lease_text},         script{"adopt_job", adopt_text},
                                     script{"change_job", change_text},   script{"job_history", history_text}};
  return list;
}

} // namespace

std::span<const script> all_scripts() { return scripts(); }

std::string_view replace_script_text(std::string_view name, std::string_view text) {
  const auto all = scripts();
  const auto at = std::find_if(all.begin(), all.end(), [&](const script& s) { return s.name == name; });
  const auto before = at->text;
  *at = script(name, text);
  return before;
}

const script& apply_script() { return all_scripts()[0]; }
const script& claim_script() { return all_scripts()[1]; }
const script& changes_script() { return all_scripts()[2]; }
const script& log_heads_script() { return all_scripts()[3]; }
const script& meta_once_script() { return all_scripts()[4]; }
const script& meta_swap_script() { return all_scripts()[5]; }
const script& lease_script() { return all_scripts()[6]; }
const script& adopt_job_script() { return all_scripts()[7]; }
const script& change_job_script() { return all_scripts()[8]; }
const script& job_history_script() { return all_scripts()[9]; }

} // namespace weir::redis
