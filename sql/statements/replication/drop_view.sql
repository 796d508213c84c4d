-- Functions and views are applied again right after.
drop view {view}
