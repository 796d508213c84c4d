-- Nothing is inserted when the name is taken, also by a project that the caller may not see. Without a conflict target:
-- naming one needs the right to see the row, and its owner is only known after the insert.
insert into pgml.projects (name, task)
values ($1, $2::pgml.task)
on conflict do nothing
