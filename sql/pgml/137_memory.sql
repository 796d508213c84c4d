-- What a session has needed: ours alone, as is cpu_seconds.
create or replace function pgml.memory_peak(anew boolean default false)
returns bigint
language plpython3u
volatile parallel unsafe
as $$
with open("/proc/self/status") as status:
    [peak] = (line.split()[1] for line in status if line.startswith("VmHWM:"))
if anew:
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
return int(peak) * 1024
$$;

comment on function pgml.memory_peak (boolean) is
'Bytes of memory that this session''s process has held at most, with what it has touched of the server''s shared memory, since it began or since a call with anew => true.';
