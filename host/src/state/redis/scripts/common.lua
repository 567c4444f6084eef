-- What several scripts need. Each is one step of the server: nothing comes between its look and its writes.
-- The name of all keys begins with the same prefix, p.

-- The server's time in milliseconds.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Version, holder and token of the data.
local function facts(p)
  local meta = redis.call('HMGET', p .. 'meta', 'version', 'holder', 'token')
  return {meta[1] or '0', meta[2] or '', meta[3] or ''}
end

local function moved(found)
  return {'moved', found[1], found[2], found[3]}
end

-- Whether the batch is one that its writer has given up, or that is written.
local function is_late(p, writer, number)
  local noted = redis.call('GET', p .. 'batch:' .. writer)
  return noted and tonumber(noted) >= tonumber(number)
end

-- Notes a batch, once it is done. Nobody asks for it after a month.
local function note(p, writer, number)
  redis.call('SET', p .. 'batch:' .. writer, number, 'EX', 2592000)
end

-- Renews the lease, before it is old: each renewal is a write, and is synced.
local function renew(p, holder, writer, lease)
  lease = tonumber(lease)
  if holder == 'shared' then
    local ends, time = redis.call('ZSCORE', p .. 'sharers', writer), now()
    if not ends or ends - time < lease * 2 / 3 then
      redis.call('ZADD', p .. 'sharers', time + lease, writer)
    end
  elseif redis.call('PTTL', p .. 'lock') < lease * 2 / 3 then
    redis.call('SET', p .. 'lock', writer, 'PX', lease)
  end
end

local function thaw(p, snapshot)
  redis.call('ZREM', p .. 'frozen', snapshot)
  redis.call('UNLINK', p .. 'before:' .. snapshot, p .. 'changed:' .. snapshot)
end

-- The snapshots that somebody still reads. Those that nobody has read for long are forgotten.
local function snapshots(p)
  local all, live = redis.call('ZRANGE', p .. 'frozen', 0, -1, 'WITHSCORES'), {}
  if #all == 0 then
    return live
  end
  local time = now()
  for i = 1, #all, 2 do
    if tonumber(all[i + 1]) < time then
      thaw(p, all[i])
    else
      live[#live + 1] = all[i]
    end
  end
  return live
end

-- What is kept in place of a value that is damaged: too short for a version, and not empty, which is 'absent'.
local DAMAGED = '?'

-- Keeps what is at a key for each snapshot that has not kept it, before it is written. An empty text: it was absent.
local function keep(p, live, bucket, key)
  local member = bucket .. '\0' .. key
  for _, snapshot in ipairs(live) do
    if redis.call('HEXISTS', p .. 'before:' .. snapshot, member) == 0 then
      local value = redis.call('HGET', p .. 'values:' .. bucket, key)
      if value == '' or (not value and redis.call('ZSCORE', p .. 'keys:' .. bucket, key)) then
        value = DAMAGED
      end
      redis.call('HSET', p .. 'before:' .. snapshot, member, value or '')
      redis.call('ZADD', p .. 'changed:' .. snapshot, 0, member)
    end
  end
end

-- Notes for each snapshot that a bucket is deleted which is damaged: nobody knows what was there. No key is empty.
local function keep_damage(p, live, bucket)
  for _, snapshot in ipairs(live) do
    redis.call('HSET', p .. 'before:' .. snapshot, bucket .. '\0', DAMAGED)
  end
end

-- What is wrong with a bucket as of a snapshot.
local function damage_before(p, snapshot, bucket)
  if redis.call('HEXISTS', p .. 'before:' .. snapshot, bucket .. '\0') == 1 then
    return p .. 'values:' .. bucket .. ' was damaged, and was erased after this export or snapshot began'
  end
end

local function put(p, bucket, key, value)
  if redis.call('HSET', p .. 'values:' .. bucket, key, value) == 1 then
    redis.call('ZADD', p .. 'keys:' .. bucket, 0, key)
  end
end

local function delete(p, bucket, key)
  redis.call('HDEL', p .. 'values:' .. bucket, key)
  redis.call('ZREM', p .. 'keys:' .. bucket, key)
end

-- What the scripts do with each key, or with those whose names go on.
local uses = {
  {'meta', 'HGET', 'HSET', 'HMGET', 'HINCRBY'},
  {'lock', 'GET', 'SET', 'DEL', 'PTTL'},
  {'batch:', 'GET', 'SET'},
  {'sharers', 'ZADD', 'ZREM', 'ZCARD', 'ZSCORE', 'ZREMRANGEBYSCORE'},
  {'frozen', 'ZADD', 'ZREM', 'ZCARD', 'ZRANGE', 'ZSCORE'},
  {'before:', 'HGET', 'HSET', 'HLEN', 'HEXISTS', 'UNLINK'},
  {'changed:', 'ZADD', 'ZCARD', 'ZRANGE', 'UNLINK'},
  {'values:', 'HGET', 'HSET', 'HDEL', 'HLEN', 'HSTRLEN', 'UNLINK'},
  {'keys:', 'ZADD', 'ZREM', 'ZCARD', 'ZSCORE', 'ZRANGE', 'UNLINK'},
}

-- What the user may not do, or the server does not know. What a script has done before it fails is not taken back: so
-- each one that writes asks this first.
local function lacking(p)
  for _, use in ipairs(uses) do
    for i = 2, #use do
      local known, may = pcall(redis.acl_check_cmd, use[i], p .. use[1])
      if not known or not may then
        return 'the user may not do ' .. use[i] .. ' on ' .. p .. use[1] .. ' (ACL)'
      end
    end
  end
  if not redis.acl_check_cmd('TIME') then
    return 'the user may not do TIME (ACL)'
  end
end

-- How many there are at a key; and why that cannot be said: somebody else has put something there.
local function size(command, key)
  local found = redis.pcall(command, key)
  if type(found) == 'table' then
    return 0, 'what is at ' .. key .. ' is not of Atoll: ' .. found.err
  end
  return found
end

-- Why nothing can be written: a right is missing, or somebody else has put something in the place of what it takes.
local function unfit(p)
  local problem = lacking(p)
  if problem then
    return problem
  end
  for _, look in ipairs({{'HLEN', 'meta'}, {'ZCARD', 'sharers'}, {'ZCARD', 'frozen'}}) do
    local _, foreign = size(look[1], p .. look[2])
    if foreign then
      return foreign
    end
  end
end

-- What is wrong with a bucket, if its keys cannot be those of its values. Who reads asks this too: a value that is gone
-- must not look like one that was deleted.
local function damage(p, bucket)
  local values, keys = p .. 'values:' .. bucket, p .. 'keys:' .. bucket
  local has, foreign = size('HLEN', values)
  local names, other = size('ZCARD', keys)
  if foreign or other then
    return foreign or other
  end
  if has ~= names then
    return values .. ' has ' .. has .. ' values, and ' .. keys .. ' has ' .. names .. ' keys'
  end
end

-- What is stored at a key, with its version before it; and what is wrong with it.
local function stored(p, bucket, key)
  local value = redis.call('HGET', p .. 'values:' .. bucket, key)
  if value and #value < 8 then
    return value, 'a value in ' .. p .. 'values:' .. bucket .. ' has no version'
  end
  return value
end
