-- One file of a model, in its library's own format.
insert into pgml.files (model_id, path, part, data)
values ($1, $2, 0, $3)
