package ForecastModel;

=head1 NAME

ForecastModel - random forecasts, in both forms of Clari's result

=head1 SYNOPSIS

    srand($seed);
    my $forecast = ForecastModel->new;
    my $form_1 = $forecast->arrays;     # {"entries": [...], "users": [...], ...}
    my $form_2 = $forecast->rows;       # [{"User": ..., ...}, ...]

A complete forecast refers to nothing that is missing and has an entry in every week, so both forms hold the
same. The others have what Clari sends at its worst.

=cut

use strict;
use warnings;

use List::Util qw(shuffle);
use POSIX qw(strftime);
use Time::Local qw(timegm);

use constant DAY => 86400;

my @PERIODS = (
	[ '2026_Q1', timegm(0, 0, 0, 1, 0, 126), 90 ],
	[ '2026_Q2', timegm(0, 0, 0, 1, 3, 126), 91 ],
	[ '2026_Q3', timegm(0, 0, 0, 1, 6, 126), 92 ]);
my @NAMES     = ('Ada Lovelace', "Conan O'Brien", 'Zoë Weber', 'Ines "Nes" Rossi', 'Wen 陳', 'back\\slash', ' ');
my @TYPES     = (forecastValue => 'Forecast', quotaValue => 'Quota', crmTotalValue => 'CRM Total');
my @ODD_TEXTS = ('No', '', 'n/a', '1,234.567,8', '5 apples', '$', '1,23');

sub new
{
	my ($class, %options) = @_;
	my $self = bless { complete => $options{complete} }, $class;
	my @first_to_last = sort { $a <=> $b } int rand @PERIODS, int rand @PERIODS;
	$self->{periods} = [ @PERIODS[ $first_to_last[0] .. $first_to_last[1] ] ];
	$self->{users}   = [ map { $self->_user($_) } 1 .. 1 + int rand 4 ];
	$self->{fields}  = [ map { $self->_field($_) } 1 .. 1 + int rand 2 ];
	$self->{frames}  = [ map { _frames($_) } @{ $self->{periods} } ];
	$self->{entries} = [ shuffle map { $self->_entries_of_frame($_) } @{ $self->{frames} } ];
	return $self;
}

# ----------
# The forecast
# ----------

sub _chance { return rand() < $_[0] }
sub _choose { return $_[ int rand @_ ] }

# Sometimes nothing, where that may be.
sub _maybe
{
	my ($self, $value) = @_;
	return $self->{complete} || !_chance(0.1) ? $value : undef;
}

sub _user
{
	my ($self, $n) = @_;
	return {
		userId              => 310000 + $n . '',
		name                => $self->_maybe(_choose(@NAMES) . " $n"),
		email               => $self->_maybe("user$n\@example.com"),
		crmId               => $self->_maybe("0055f$n"),
		hierarchyId         => "190$n",
		hierarchyName       => $self->_maybe("Role $n"),
		parentHierarchyId   => $n == 1 ? undef : 1901,
		parentHierarchyName => $n == 1 ? undef : 'Role 1',
		scopeId             => _chance(0.5) ? "$n\::MGR" : { type => 'REP', id => $n } };
}

sub _field
{
	my ($self, $n) = @_;
	my $kind = 2 * int rand(@TYPES / 2);
	return {
		fieldId   => "field_$n",
		fieldName => $self->_maybe("Field $n"),
		fieldType => uc($TYPES[ $kind + 1 ] =~ s/ /_/r),
		key       => $TYPES[$kind],
		data_type => $TYPES[ $kind + 1 ] };
}

# Some weeks of a period, never in order, each with a number as of all thirteen.
sub _frames
{
	my ($period) = @_;
	my ($id, $start, $days) = @$period;
	my $first_number = int rand 2;
	my @numbers      = (shuffle 0 .. 12)[ 0 .. int rand 13 ];
	return map {
		{
			period => $id,
			number => $_,
			id     => sprintf('W_%02d', $_ + $first_number),
			start  => $start + 7 * DAY * $_,
			end    => $start + DAY * ($_ == 12 ? $days - 1 : 7 * $_ + 6)
		}
	} @numbers;
}

sub _entries_of_frame
{
	my ($self, $frame) = @_;
	my @entries;
	for my $user (@{ $self->{users} })
	{
		for my $field (@{ $self->{fields} })
		{
			push @entries, $self->_entry($frame, $user, $field)
			  if _chance(0.5) || ($self->{complete} && $user == $self->{users}[0]);
		}
	}
	return @entries;
}

sub _entry
{
	my ($self, $frame, $user, $field) = @_;
	return {
		frame   => $frame,
		user    => $user,
		field   => $field,
		value   => (int(rand 2e9) - 5e8) / 100,
		updated => $self->_maybe(_chance(0.5) ? 1 : 0),
		at      => 1782864000000 + int rand 1e10 };
}

# ----------
# Form 1
# ----------

sub arrays
{
	my ($self) = @_;
	return {
		entries => [ map { $self->_array_entry($_) } @{ $self->{entries} } ],
		users   => [ shuffle map { _without_nulls($_) } @{ $self->{users} } ],
		fields  => [ map { _without_nulls({ %$_, key => undef, data_type => undef }) } @{ $self->{fields} } ],
		timePeriods => [
			map { { timePeriodId => $_->[0], type => 'QUARTER', startDate => _iso($_->[1]),
					endDate => _iso($_->[1] + DAY * ($_->[2] - 1)) } } shuffle @{ $self->{periods} } ],
		timeFrames => [ map { { timeFrameId => $_->{id}, startDate => _iso($_->{start}), endDate => _iso($_->{end}) } }
			  shuffle @{ $self->{frames} } ] };
}

sub _array_entry
{
	my ($self, $entry) = @_;
	my %members = (
		userId       => $entry->{user}{userId},
		fieldId      => $entry->{field}{fieldId},
		timePeriodId => $entry->{frame}{period},
		timeFrameId  => $entry->{frame}{id},
		currency     => { code => 'USD', symbol => '$' },
		isUpdated    => defined $entry->{updated} ? \($entry->{updated} + 0) : undef,
		updatedBy    => $entry->{updated} ? $entry->{user}{userId} : undef,
		updatedOn    => $entry->{updated} ? $entry->{at}           : undef,
		$entry->{field}{key} => $entry->{value});
	$self->_spoil(\%members) if !$self->{complete};
	return _without_nulls(\%members);
}

# What Clari's documentation does not exclude, or what production has seen.
sub _spoil
{
	my ($self, $members) = @_;
	$members->{userId}      = 'left'      if _chance(0.05);
	$members->{userId}     += 0           if _chance(0.05) && $members->{userId} ne 'left';
	$members->{fieldId}     = undef       if _chance(0.05);
	$members->{timeFrameId} = 'W_99'      if _chance(0.05);
	$members->{timeFrameId} = undef       if _chance(0.05);
	$members->{currency}    = 'EUR'       if _chance(0.05);
	$members->{currency}    = undef       if _chance(0.05);
	$members->{updatedOn}   = undef       if _chance(0.1);
	$members->{updatedBy}   = 'someone'   if _chance(0.1);
	$members->{label}       = 'Valuable'  if _chance(0.1);

	my ($key) = grep { /Value$/ } keys %$members;
	if (_chance(0.1))
	{
		$members->{adjustmentValue} = int rand 1e6;
		$members->{adjustedBy}      = 'boss' if _chance(0.7);
		$members->{adjustedOn}      = 1782864000000 + int rand 1e10 if _chance(0.7);
	}
	$members->{aggregationTotal} = int rand 1e6 if _chance(0.1);
	$members->{$key} = _odd_value($members->{$key}) if _chance(0.3);
	$members->{$key} = undef                        if _chance(0.05);
	$members->{fooBarValue} = int rand 1e6 if _chance(0.1);
	return;
}

sub _odd_value
{
	my ($value) = @_;
	my @forms = (
		money($value), money(-$value), sprintf('(%s)', money(abs $value)), sprintf('%d%%', $value / 1e5),
		int($value), @ODD_TEXTS, \1, \0);
	return _choose(@forms);
}

# ----------
# Form 2
# ----------

sub rows
{
	my ($self) = @_;
	return [ map { _flat_rows($_) } @{ $self->{entries} } ];
}

sub _flat_rows
{
	my ($entry) = @_;
	my ($user, $field, $frame) = @$entry{qw(user field frame)};
	my %what = (
		'User'        => $user->{name},
		'Email'       => $user->{email},
		'CRM User ID' => $user->{crmId},
		'Role'        => $user->{hierarchyName},
		'Parent Role' => defined $user->{parentHierarchyName} ? $user->{parentHierarchyName} : '',
		'Timeframe'   => $frame->{period},
		'Field'       => $field->{fieldName},
		'Week'        => $frame->{number},
		'Start Day'   => _american($frame->{start}),
		'End Day'     => _american($frame->{end}));
	my @rows = ({ %what, 'Data Type' => $field->{data_type}, 'Data Value' => money($entry->{value}) });
	push @rows, { %what, 'Data Type' => 'Forecast Updated', 'Data Value' => $entry->{updated} ? 'Yes' : 'No' }
	  if defined $entry->{updated};
	return shuffle @rows;
}

# ----------
# Texts
# ----------

sub money
{
	my ($value) = @_;
	my $text = sprintf '%.2f', abs $value;
	1 while $text =~ s/^(\d+)(\d{3})/$1,$2/;
	return ($value < 0 ? '-' : '') . '$' . $text;
}

sub _iso      { return strftime('%Y-%m-%d', gmtime $_[0]) }
sub _american { return strftime('%m/%d/%Y', gmtime $_[0]) }

# Without what is undefined; a null now and then would be the same.
sub _without_nulls
{
	my ($object) = @_;
	return { map { $_ => $object->{$_} } grep { defined $object->{$_} || _chance(0.02) } sort keys %$object };
}

1;
