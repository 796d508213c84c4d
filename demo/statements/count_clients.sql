-- How many clients the platform has.
select count(*) from clients
