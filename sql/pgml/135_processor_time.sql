-- What a session has cost: ours alone, PostgresML has nothing like it.
create or replace function pgml.cpu_seconds()
returns double precision
language plpython3u
volatile parallel unsafe
as $$
import time
return time.process_time()
$$;

comment on function pgml.cpu_seconds () is
'Seconds of processor time that this session''s process has used so far, all its threads, in its own code and in the kernel.';
