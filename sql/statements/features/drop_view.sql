-- Made anew when it has been decided how the label is learned.
drop view if exists {view}
