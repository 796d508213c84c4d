-- Every row whose label is known at the end, with what was known at its own moment.
create temporary table lived on commit drop as
{features}
