-- Unlike its address, this tells two replicas apart that were made alike.
select current_database()::text as database, system_identifier::text as cluster
from pg_control_system()
