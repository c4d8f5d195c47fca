//! What the server does in one step. Each script touches one key, so all of this works on a
//! cluster, where two keys may live on two machines.

use redis::Script;

/// Reads a session's fields; the names are one letter each, because every session has them.
///
/// `r` is there when the session was revoked, and then nothing else is; `c` created, `t` last seen,
/// `v` version, `d` the sealed record, `a` the browser, `l` the lists that name it; `w` while it
/// waits for the end of the one that moves here, and then of the others only `l` is there.
const LOOK: &str = r"
local now, idle, absolute = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local s = redis.call('HMGET', KEYS[1], 'r', 'c', 't', 'v', 'd')
if s[1] then return {'revoked'} end
if not s[2] then return {'nothing'} end
local created, seen = tonumber(s[2]), tonumber(s[3])
if now > math.min(seen + idle, created + absolute) then return {'expired'} end
if ARGV[4] == 'extend' and now > seen then
  s[3] = ARGV[1]
  redis.call('HSET', KEYS[1], 't', s[3])
  local ends = math.min(now + idle, created + absolute) + tonumber(ARGV[5])
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ends))
end
return {'live', s[2], s[3], s[4], s[5]}
";

const PUT: &str = r"
redis.call('HSET', KEYS[1], 'c', ARGV[1], 't', ARGV[2], 'v', ARGV[3], 'a', ARGV[4], 'd', ARGV[5], 'l', ARGV[6])
return redis.call('PEXPIREAT', KEYS[1], ARGV[7])
";

/// Keeps a place for a session that is about to move here; none that is taken, by whatever.
const KEEP: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'w', '1', 'l', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
";

/// Moves a session into the place that is kept for it. Where nothing waits any more it was ended on
/// its way. Asked again, it says again what it did.
const ARRIVE: &str = r"
local s = redis.call('HMGET', KEYS[1], 'w', 'c')
if s[2] then return 1 end
if not s[1] then return 0 end
redis.call('HDEL', KEYS[1], 'w')
redis.call('HSET', KEYS[1], 'c', ARGV[1], 't', ARGV[2], 'v', ARGV[3], 'a', ARGV[4], 'd', ARGV[5])
redis.call('PEXPIREAT', KEYS[1], ARGV[6])
return 1
";

/// Changes what is still at the version that was read. Never brings anything into being.
const CHANGE: &str = r"
local now, idle, absolute = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local s = redis.call('HMGET', KEYS[1], 'r', 'c', 't', 'v', 'd')
if s[1] or not s[2] then return {'gone'} end
local created, seen = tonumber(s[2]), tonumber(s[3])
if now > math.min(seen + idle, created + absolute) then return {'gone'} end
if s[4] ~= ARGV[4] then return {'stale', s[2], s[3], s[4], s[5]} end
redis.call('HSET', KEYS[1], 'v', ARGV[5], 'd', ARGV[6])
return {'done', s[2], s[3], ARGV[5], ARGV[6]}
";

/// Ends a session and remembers for a while that it was ended. Of two who end it, one is told what
/// it was; the other, that it was ended already.
const END: &str = r"
local s = redis.call('HMGET', KEYS[1], 'r', 'c', 't', 'v', 'd', 'l', 'w')
if s[1] then return {'already'} end
if not s[2] and not s[7] then return {'nothing'} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'r', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if not s[2] then return {'stopped', s[6] or ''} end
return {'ended', s[6] or '', s[2], s[3], s[4], s[5]}
";

/// Adds a session to a list, drops those whose longest time is over, and lets the list live as long
/// as its youngest member may; gives all of them, oldest first. What two logins see is nested: who comes
/// later sees the earlier one, and never the other way round.
const INDEX: &str = r"
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
local youngest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(youngest) + tonumber(ARGV[4])))
return redis.call('ZRANGE', KEYS[1], 0, -1)
";

/// The scripts, hashed once.
pub(super) struct Scripts {
    pub(super) look: Script,
    pub(super) put: Script,
    pub(super) change: Script,
    pub(super) end: Script,
    pub(super) index: Script,
    pub(super) keep: Script,
    pub(super) arrive: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            look: Script::new(LOOK),
            put: Script::new(PUT),
            change: Script::new(CHANGE),
            end: Script::new(END),
            index: Script::new(INDEX),
            keep: Script::new(KEEP),
            arrive: Script::new(ARRIVE),
        }
    }
}
