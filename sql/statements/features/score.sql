-- The rows that are to be predicted; those that cannot be are left in, with the reason.
create temporary table scored on commit drop as
{features}
